"""How a command is sent: a line of JSON, and behind it the folder that goes along."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from lepton.client import bundle
from lepton.client.transport import Transport, encode, path_of
from lepton.core.errors import InvalidInput
from lepton.core.settings import Settings

OnUpload = Callable[[int, int | None], None]
"""Called with the bytes sent so far and, if known, in all."""


@dataclass(frozen=True)
class Folder:
    """What goes along: a folder, and small files beside those in it."""

    path: Path
    extra: Mapping[str, bytes]


def send(transport: Transport, about: Mapping[str, object], folder: Folder | None, on_upload: OnUpload | None) -> bytes:
    """Send a command, with a folder or without one, and return the answer."""
    line, place = encode(about) + b"\n", path_of("runs", "submit")
    if folder is None:
        return transport.upload(place, _counted([line], len(line), on_upload), query={}, size_bytes=len(line))
    max_bytes = Settings.from_environment().max_bundle_bytes
    with bundle.pack(folder.path, max_bytes=max_bytes, extra=folder.extra) as (packed, size_bytes):
        total = len(line) + size_bytes
        chunks = _counted(chain([line], bundle.pieces(packed)), total, on_upload)
        return transport.upload(place, chunks, query={}, size_bytes=total)


def megabytes(amount: str | int) -> int:
    """Return an amount of memory in MiB: a number is one already, text is such as ``512M`` or ``2G``.

    Raises:
        InvalidInput: if it is neither.
    """
    if isinstance(amount, int):
        return amount
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", amount.strip(), re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{amount[:40]!r} is no amount of memory. Write it as 512M or 2G.")
    factor = {"": 1.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}[found[2].upper()]
    return math.ceil(float(found[1]) * factor)


def secrets_of(given: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Return secrets by name; of names alone, the values are those of this process."""
    if isinstance(given, Mapping):
        return dict(given)
    missing = [name for name in given if name not in os.environ]
    if missing:
        raise InvalidInput(
            f"There is no environment variable {missing[0][:64]!r} here whose value could go along. Set it first, and "
            "do not write it on the command line, where others can see it."
        )
    return {name: os.environ[name] for name in given}


def _counted(chunks: Iterable[bytes], total: int, on_upload: OnUpload | None) -> Iterator[bytes]:
    sent = 0
    for chunk in chunks:
        sent += len(chunk)
        yield chunk
        if on_upload is not None:
            on_upload(sent, total)
