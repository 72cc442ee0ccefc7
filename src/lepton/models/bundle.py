"""What is registered as a model, code of a user's own above all: a zip archive of a few files, read with suspicion.

Standard library only, as the client packs with it and a replica's worker unpacks with it. The files are only ever
executed in the sandbox of a replica.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from lepton.core.errors import InvalidInput, TooLarge

ENTRY = "model.py"
"""The file that holds the class ``Model``."""
UPSTREAM = "openai.json"
"""Instead of code: where a server that speaks the OpenAI API listens."""
GRAPH = "model.onnx"
"""Instead of code: a graph that was made elsewhere."""
KINDS = (ENTRY, UPSTREAM, GRAPH)
"""What a bundle holds exactly one of."""
SIGNATURE = "signature.json"
"""The file that says what the model takes and answers."""
MAGIC = b"PK\x03\x04"
MAX_BYTES = 64 << 20
"""Of all files together."""
MAX_FILES = 1000
_SKIPPED = {"__pycache__", ".git", ".venv"}


def pack(files: Mapping[str, bytes]) -> bytes:
    """Write files as a bundle; the same files give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return made.getvalue()


def read_code(code: Path) -> dict[str, bytes]:
    """Read a file, or all files of a folder but caches and links.

    A file becomes `GRAPH` if its name ends in ``.onnx``, stays `UPSTREAM` if it is called that, else it is `ENTRY`.

    Raises:
        InvalidInput: if there is nothing there.
        TooLarge: if it is more than a bundle may hold.
    """
    if code.is_file():
        kind = GRAPH if code.suffix == ".onnx" else UPSTREAM if code.name == UPSTREAM else ENTRY
        return {kind: code.read_bytes()}
    if not code.is_dir():
        raise InvalidInput(f"There is no file or folder {code.name!r}. Give a file, or a folder with {ENTRY}.")
    files: dict[str, bytes] = {}
    size = 0
    for path in sorted(code.rglob("*")):
        name = path.relative_to(code)
        if path.is_symlink() or not path.is_file() or _SKIPPED & set(name.parts):
            continue
        size += path.stat().st_size
        if size > MAX_BYTES or len(files) >= MAX_FILES:
            raise _too_large()
        files[name.as_posix()] = path.read_bytes()
    return files


def receive(chunks: Iterable[bytes], *, max_bytes: int | None = None) -> bytes:
    """Put a bundle together that arrives in pieces.

    Raises:
        TooLarge: as soon as it is more than a bundle may hold.
    """
    bundle, max_bytes = bytearray(), max_bytes or MAX_BYTES
    for chunk in chunks:
        bundle += chunk
        if len(bundle) > max_bytes + (1 << 20):
            raise _too_large(max_bytes)
    return bytes(bundle)


def unpack(bundle: bytes, *, max_bytes: int | None = None) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Raises:
        InvalidInput: if it is not a zip archive, has not one of `ENTRY` and `UPSTREAM`, or a name that leads out of it.
        TooLarge: if it holds more than it may, whatever its own list of contents says.
    """
    files: dict[str, bytes] = {}
    left = max_bytes = max_bytes or MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            if len(archive.infolist()) > MAX_FILES:
                raise _too_large(max_bytes)
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                with archive.open(entry) as file:
                    data = file.read(left + 1)
                if len(data) > left:
                    raise _too_large(max_bytes)
                left -= len(data)
                files[_checked(entry.filename)] = data
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ):
        raise InvalidInput("The code is not a zip archive that can be read. Send one of plain files.") from None
    if sum(kind in files for kind in KINDS) != 1:
        raise InvalidInput(
            f"The code must have a file {ENTRY} with a class Model at its top, or {UPSTREAM} or {GRAPH} instead."
        )
    return files


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or len(name) > 200:
        raise InvalidInput(
            "A name in the archive leads out of it, or is too long. Pack plain files with relative names."
        )
    return path.as_posix()


def _too_large(max_bytes: int = MAX_BYTES) -> TooLarge:
    return TooLarge(
        f"The code has more than {max_bytes >> 20} MiB or {MAX_FILES:,} files. Leave out what it does not need."
    )
