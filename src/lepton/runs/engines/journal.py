"""The encrypted log of a run: framed records in one file that is only ever added to. No line of it is readable on disk.

A frame is its length (4 bytes), its number (8), a nonce (12) and AES-256-GCM over rank, time and text, bound to the
run and the number. A frame cut short by a crash is the end of the log. Imports nothing heavy: the supervisor uses it.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton.runs.records import LogLine

MAX_TEXT_BYTES = 8 << 10
MAX_LOG_BYTES = 32 << 20
SUPERVISOR_RANK = -1
_HEAD = struct.Struct(">IQ")
_LINE = struct.Struct(">id")
_NONCE_BYTES = 12
_MAX_BODY_BYTES = _NONCE_BYTES + _LINE.size + MAX_TEXT_BYTES + 64
_CHECKPOINT_EVERY = 64


class JournalError(Exception):
    """The file holds something that its writer did not write."""


class JournalWriter:
    """Adds lines, up to a size; says in the log when it is full, and then drops what follows."""

    def __init__(self, path: Path, run_id: str, key: bytes, *, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._cipher = AESGCM(key)
        self._run_id = run_id
        self._room = max_bytes
        self._limit = max_bytes
        self._seq = 0

    @classmethod
    def resume(cls, path: Path, run_id: str, key: bytes, *, max_bytes: int = MAX_LOG_BYTES) -> JournalWriter:
        """Go on with a log that an earlier writer has left, behind its last whole line."""
        seq, size = 0, 0
        with suppress(FileNotFoundError), path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                length, number = _HEAD.unpack(head)
                if not length or file.tell() + length > end:
                    break
                seq, size = number, file.seek(length, os.SEEK_CUR)
        writer = cls(path, run_id, key, max_bytes=max_bytes)
        os.ftruncate(writer._fd, size)
        writer._seq, writer._room = seq, max_bytes - size
        return writer

    def write(self, rank: int, time: float, text: str) -> bool:
        """Add one line.

        Args:
            rank: Which worker wrote it; -1 is the supervisor.
            time: Seconds since 1970.
            text: The line; longer than 8 KiB, it is cut.

        Returns:
            Whether it was kept.
        """
        if self._room <= 0:
            return False
        before = self._seq
        self._append(rank, time, text)
        kept = self._seq > before
        if kept and self._room <= 0:
            self._append(SUPERVISOR_RANK, time, f"[the log is full at {_size(self._limit)}; what follows is not kept]")
        return kept

    def _append(self, rank: int, time: float, text: str) -> None:
        seq = self._seq + 1
        plain = _LINE.pack(rank, time) + _cut(text)
        nonce = os.urandom(_NONCE_BYTES)
        body = nonce + self._cipher.encrypt(nonce, plain, _label(self._run_id, seq))
        frame = _HEAD.pack(len(body), seq) + body
        try:
            written = os.write(self._fd, frame)
        except OSError:
            written = -1
        if written != len(frame):
            self._room = 0  # a full disk ends the log, not the run; a frame cut short must stay the last one
            return
        self._seq = seq
        self._room -= len(frame)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class JournalReader:
    """Reads lines after a cursor; remembers where in the file some of them begin, so that following is cheap."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._run_id = run_id
        self._offsets = [0]
        self._lock = threading.Lock()

    def read(self, key: bytes, *, after: int, limit: int) -> list[LogLine]:
        """Return at most `limit` lines with a number above `after`.

        Raises:
            JournalError: if a frame was changed, or belongs to another place or run.
        """
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        cipher = AESGCM(key)
        lines: list[LogLine] = []
        with file, self._lock:
            for seq, body in self._frames(file, after):
                if len(lines) == limit:
                    break
                lines.append(_decode(cipher, self._run_id, seq, body))
        return lines

    def _frames(self, file: BinaryIO, after: int) -> Iterator[tuple[int, bytes]]:
        known = min(after // _CHECKPOINT_EVERY, len(self._offsets) - 1)
        seq = known * _CHECKPOINT_EVERY
        file.seek(self._offsets[known])
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, number = _HEAD.unpack(head)
            if length == 0:
                return  # zeros after a power cut
            if number != seq + 1 or length > _MAX_BODY_BYTES:
                raise JournalError
            if len(body := file.read(length)) < length:
                return
            seq = number
            if seq % _CHECKPOINT_EVERY == 0 and seq // _CHECKPOINT_EVERY == len(self._offsets):
                self._offsets.append(file.tell())
            if seq > after:
                yield seq, body


def _decode(cipher: AESGCM, run_id: str, seq: int, body: bytes) -> LogLine:
    try:
        plain = cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _label(run_id, seq))
    except InvalidTag:
        raise JournalError from None
    rank, time = _LINE.unpack_from(plain)
    return LogLine(seq, rank, datetime.fromtimestamp(time, UTC), plain[_LINE.size :].decode(errors="replace"))


def _label(run_id: str, seq: int) -> bytes:
    return f"lepton run log {run_id} {seq}".encode()


def _cut(text: str) -> bytes:
    data = text.encode(errors="replace")
    return data if len(data) <= MAX_TEXT_BYTES else data[: MAX_TEXT_BYTES - 16] + " … [cut]".encode()


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes} bytes"
