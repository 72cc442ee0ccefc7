"""Files and frames on their way to the platform, and exports on their way back."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import unquote

from lepton.client.transport import Download
from lepton.core.errors import InvalidInput, StorageFull
from lepton.core.refs import name_from

_PIECE = 1 << 20
_ENOSPC = 28


class Frame(Protocol):
    """A pandas or Polars data frame."""

    @property
    def columns(self) -> object:
        """The names of its columns."""


@dataclass(frozen=True)
class Upload:
    """Something to import, opened."""

    chunks: Iterator[bytes]
    size_bytes: int | None
    name: str
    file_name: str | None
    format: str | None


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        left_out: Columns that were left out because you may not read them.
    """

    size_bytes: int
    left_out: tuple[str, ...] = ()


@contextmanager
def open_source(
    source: str | Path | BinaryIO | Frame, on_upload: Callable[[int, int | None], None] | None
) -> Iterator[Upload]:
    """Open what is to be imported.

    Raises:
        InvalidInput: if it cannot be opened, or is nothing that can be imported.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size if path.is_file() else None
            yield Upload(_pieces(file, size, on_upload), size, name_from(path.stem), path.name, None)
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        file_name = Path(name).name if isinstance(name, str) else None
        stem = name_from(Path(file_name).stem) if file_name else "data"
        yield Upload(_pieces(cast(BinaryIO, source), None, on_upload), None, stem, file_name, None)
    else:
        content, kind = _frame_bytes(source)
        yield Upload(_pieces(io.BytesIO(content), len(content), on_upload), len(content), "data", None, kind)


@contextmanager
def open_file(source: str | Path | BinaryIO) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """Open a file to be sent as it is; yields its pieces, and its size if that is known.

    Raises:
        InvalidInput: if it cannot be opened.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        with _opened(path) as file:
            yield _pieces(file, None, None), os.fstat(file.fileno()).st_size if path.is_file() else None
    else:
        yield _pieces(source, None, None), None


def _opened(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise InvalidInput(f"{path} is a folder, not a file. Give a file.")
        return path.open("rb")
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}. Check the path; it is read from {Path.cwd()}.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}). Check who may read it.") from None


def _pieces(file: BinaryIO, size: int | None, on_upload: Callable[[int, int | None], None] | None) -> Iterator[bytes]:
    sent = 0
    while piece := file.read(_PIECE):
        if not isinstance(piece, bytes):
            raise InvalidInput("The file was opened as text. Open it for reading bytes: open(path, 'rb').")
        sent += len(piece)
        yield piece
        if on_upload is not None:
            on_upload(sent, size)


def _frame_bytes(frame: object) -> tuple[bytes, str]:
    """Write a Polars frame as Parquet, which keeps its types, and a pandas frame as CSV, which needs no pyarrow."""
    if hasattr(frame, "write_parquet"):
        parquet = io.BytesIO()
        frame.write_parquet(parquet)
        return parquet.getvalue(), "parquet"
    if hasattr(frame, "to_csv"):
        text: str = frame.to_csv(index=False)
        return text.encode(), "csv"
    raise InvalidInput(
        f"A {type(frame).__name__} cannot be imported. "
        "Give a path, a file opened with 'rb', or a pandas or Polars frame."
    )


def save(download: Download, to: str | Path | BinaryIO) -> Export:
    """Write a download to a file, which appears only when it is whole, or into an open one.

    Raises:
        InvalidInput: if the file cannot be written.
        StorageFull: if the disk is full.
    """
    left_out = tuple(unquote(name) for name in download.headers.get("X-Lepton-Masked", "").split(",") if name)
    if not isinstance(to, str | Path):
        return Export(_drain(download, to), left_out)
    path = Path(to).expanduser()
    special = path.exists() and not path.is_file() and not path.is_dir()  # such as /dev/stdout or >(gzip)
    try:
        return Export(_drain_into(download, path) if special else _replace(download, path.resolve()), left_out)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == _ENOSPC:
            raise StorageFull(f"The disk is full; {path} was not written. Make room, or write elsewhere.") from None
        raise InvalidInput(f"{path} cannot be written ({error.strerror}). Choose another place.") from None


def _drain_into(download: Download, path: Path) -> int:
    """Write into a device or a pipe, which must not be replaced by a file."""
    with path.open("wb") as file:
        return _drain(download, file)


def _replace(download: Download, path: Path) -> int:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            size = _drain(download, file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size


def _drain(download: Download, file: BinaryIO) -> int:
    size = 0
    for chunk in download.chunks:
        file.write(chunk)
        size += len(chunk)
    return size
