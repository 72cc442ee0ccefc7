"""Encrypted files that can be read from anywhere: AES-256-GCM in 64 KiB segments.

A file is a header (magic, random salt) and segments. The file's key is derived from the given key, the salt and the
file's id; a segment's nonce is its index and whether it is the last. So changed, missing, added, swapped segments and
swapped files are all noticed. Construction: STREAM (https://eprint.iacr.org/2015/189) with a derived key per file.
Light on purpose: the inference replica imports it. Who makes files and keys: ``blobs.py``.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton.core.errors import Internal, NotFound
from lepton.store.ciphers import derive

SEGMENT_BYTES = 64 * 1024
_MAGIC = b"LPTSEG1\n"
_HEADER_BYTES = len(_MAGIC) + 32
_TAG_BYTES = 16
_STORED_BYTES = SEGMENT_BYTES + _TAG_BYTES


class SegmentWriter:
    """Encrypts what is written to it into `file`; the file is complete only after `finish`.

    Args:
        file: Opened for writing, at its start; stays the caller's to sync and close.
        key: 32 bytes; may be used for any number of files.
        blob_id: The file's id, needed again for reading.
    """

    def __init__(self, file: BinaryIO, key: bytes, blob_id: str) -> None:
        salt = os.urandom(32)
        self._file = file
        self._cipher = _file_cipher(key, salt, blob_id)
        self._buffer = bytearray()
        self._index = 0
        self._finished = False
        file.write(_MAGIC + salt)

    def write(self, data: bytes) -> int:
        """Add `data`; return its length."""
        if self._finished:
            raise ValueError("The file is finished; nothing can be added to it.")
        self._buffer += data
        # The newest full segment stays back, because it may turn out to be the last one.
        while len(self._buffer) > SEGMENT_BYTES:
            self._put(bytes(self._buffer[:SEGMENT_BYTES]), last=False)
            del self._buffer[:SEGMENT_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last segment."""
        if not self._finished:
            self._finished = True
            self._put(bytes(self._buffer), last=True)
            self._buffer.clear()

    def _put(self, plain: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._index, last=last), plain, None))
        self._index += 1


def open_segments(path: Path, key: bytes, blob_id: str) -> BinaryIO:
    """Open an encrypted file for reading; seekable, 64 KiB are held in memory.

    The last segment is checked at once, so a file that was cut off, a wrong key and a wrong file are noticed here;
    every other segment when it is read.

    Raises:
        NotFound: if there is no such file.
        Internal: if the file is not what was written. Reading raises it too.
    """
    try:
        file = io.FileIO(path, "rb")
    except FileNotFoundError as error:
        raise NotFound("The stored file is gone. It was deleted, or the storage lost it.") from error
    try:
        return io.BufferedReader(_Segments(file, key, blob_id), SEGMENT_BYTES)
    except BaseException:
        file.close()
        raise


class _Segments(io.RawIOBase):
    def __init__(self, file: io.FileIO, key: bytes, blob_id: str) -> None:
        super().__init__()
        self._file = file
        header = os.pread(file.fileno(), _HEADER_BYTES, 0)
        body = os.fstat(file.fileno()).st_size - _HEADER_BYTES
        self._last = max(-(-body // _STORED_BYTES) - 1, 0)
        self._size = body - (self._last + 1) * _TAG_BYTES
        last_bytes = body - self._last * _STORED_BYTES - _TAG_BYTES
        if not header.startswith(_MAGIC) or last_bytes < 0 or (last_bytes == 0 and self._last):
            raise _damaged()
        self._cipher = _file_cipher(key, header[len(_MAGIC) :], blob_id)
        self._position = 0
        self._loaded = -1
        self._plain = b""
        self._load(self._last)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("A position before the start of the file cannot be sought.")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if self._position >= self._size:
            return 0
        index, start = divmod(self._position, SEGMENT_BYTES)
        self._load(index)
        piece = self._plain[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._plain = b""
        self._file.close()
        super().close()

    def _load(self, index: int) -> None:
        if index == self._loaded:
            return
        stored = os.pread(self._file.fileno(), _STORED_BYTES, _HEADER_BYTES + index * _STORED_BYTES)
        try:
            self._plain = self._cipher.decrypt(_nonce(index, last=index == self._last), stored, None)
        except InvalidTag:
            raise _damaged() from None
        self._loaded = index


def _file_cipher(key: bytes, salt: bytes, blob_id: str) -> AESGCM:
    return AESGCM(derive(key, b"lepton/segments/1\0" + blob_id.encode(), salt=salt))


def _nonce(index: int, *, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


def _damaged() -> Internal:
    return Internal("A stored file is damaged or was changed outside of Lepton. Restore it from a backup.")
