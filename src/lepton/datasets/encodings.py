"""Character encodings: which one a file is in, and its text as UTF-8, chunk by chunk."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lepton.core.errors import InvalidInput

CHUNK_BYTES = 4 << 20
MAX_LINE_BYTES = 32 << 20
_HEAD_BYTES = 1 << 16
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOSTLY = 0.5


@dataclass(frozen=True)
class Encoding:
    """The encoding of a file, and how many bytes of a UTF-8 byte order mark to skip."""

    name: str
    skip_bytes: int = 0


def detect_encoding(source: BinaryIO, name: str | None) -> Encoding:
    """Find the encoding of a file, or check the one the user named.

    Files without a byte order mark are UTF-8 if most of their lines with other than ASCII characters are; the lines
    that are not are rejected one by one later. Otherwise they are cp1252, or latin-1 if they use a byte it lacks.

    Raises:
        InvalidInput: if the file is binary, the encoding is unknown, or the file is not in the encoding that was named.
    """
    source.seek(0)
    head = source.read(_HEAD_BYTES)
    marked = next((found for bom, found in _BOMS if head.startswith(bom)), None)
    skip = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if name is not None:
        encoding = Encoding(_known(name), skip if _known(name) == "utf-8" else 0)
        _check_all(source, encoding)
        return encoding
    if marked is not None:
        encoding = Encoding(marked, skip)
        if marked != "utf-8":
            _check_all(source, encoding)
        return encoding
    if b"\0" in head:
        return _wide_or_binary(source, head)
    return Encoding(_narrow(source))


def utf8_chunks(source: BinaryIO, encoding: Encoding) -> Iterator[bytes]:
    """Yield the text of the file as UTF-8, without byte order mark; bytes that are no UTF-8 pass as they are."""
    source.seek(encoding.skip_bytes)
    if encoding.name == "utf-8":
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
        return
    decoder = codecs.getincrementaldecoder(encoding.name)()
    while chunk := source.read(CHUNK_BYTES):
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def _known(name: str) -> str:
    try:
        info = codecs.lookup(name)
        "".encode(info.name)  # refuses codecs that are not about text, such as base64
    except (LookupError, ValueError):
        raise InvalidInput(
            f"There is no character encoding {name[:40]!r}. Use for example 'utf-8', 'utf-16', 'cp1252', 'gb18030' or "
            "'shift_jis', or leave it out to have it detected."
        ) from None
    return "utf-8" if info.name == "utf-8-sig" else info.name


def _check_all(source: BinaryIO, encoding: Encoding) -> None:
    """Decode the whole file once, so that a wrong encoding is refused before anything is made of it."""
    source.seek(encoding.skip_bytes)
    decoder = codecs.getincrementaldecoder(encoding.name)()
    line = 1
    chunk = b"x"
    while chunk:
        chunk = source.read(CHUNK_BYTES)
        pending = len(decoder.getstate()[0])
        start = source.tell() - len(chunk) - pending
        try:
            line += decoder.decode(chunk, final=not chunk).count("\n")
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding.name, "ignore").count("\n")
            raise InvalidInput(
                f"The file is not in {encoding.name}: byte {start + error.start} of the file, on line {line + before}, "
                "cannot be read. Leave the encoding out to have it detected, or name another one, such as 'cp1252'."
            ) from None
        except UnicodeError:
            raise InvalidInput(
                f"The file is not in {encoding.name}, as its first bytes show. "
                "Leave the encoding out to have it detected."
            ) from None


def _wide_or_binary(source: BinaryIO, head: bytes) -> Encoding:
    """Tell UTF-16 without a mark, in which every second byte of Latin text is zero, from binary data."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > _MOSTLY * half and others == 0:
            encoding = Encoding(name)
            _check_all(source, encoding)
            return encoding
    raise InvalidInput(
        "The file holds binary data, not text. Import CSV, TSV, JSON lines or Parquet; "
        "unpack archives and save spreadsheets as CSV first."
    )


def _narrow(source: BinaryIO) -> str:
    good = bad = 0
    is_cp1252 = True
    for text in _whole_lines(source):
        if text.isascii():
            continue
        for line in text.split(b"\n"):
            if line.isascii():
                continue
            if _is_utf8(line):
                good += 1
            else:
                bad += 1
                is_cp1252 = is_cp1252 and not any(byte in line for byte in _UNKNOWN_TO_CP1252)
    if bad <= _MOSTLY * good:
        return "utf-8"
    return "cp1252" if is_cp1252 else "latin-1"


def _whole_lines(source: BinaryIO) -> Iterator[bytes]:
    source.seek(0)
    rest = b""
    while chunk := source.read(CHUNK_BYTES):
        whole, _, rest = (rest + chunk).rpartition(b"\n")
        yield whole
        if len(rest) > MAX_LINE_BYTES:
            raise InvalidInput(
                f"The file has a line of more than {MAX_LINE_BYTES >> 20} MiB. "
                "Check that it is text with one row on each line."
            )
    yield rest


_UNKNOWN_TO_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
