"""The process in which a user's class runs: gives its rights away first, then reads the class, then predicts.

``python -P -m lepton.endpoints.replica.jail FOLDER LIMITS…`` with the channel as standard input. A guard stays outside
and ends it when the worker is gone; nothing that the class does reaches the guard. `sandbox` is the other end.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from lepton.core import confine


def main() -> int:
    """Guard a process that serves a user's class; return when it has ended."""
    folder, limits = sys.argv[1], confine.Limits.from_arguments(sys.argv[2:])
    channel = _own_channel()
    confine.die_with_parent(signal.SIGTERM)
    separation = confine.separate()
    if separation.alone:
        with suppress(OSError):
            os.rmdir(folder)  # it will have one that nobody else sees; this one would stay if the worker is killed
    confine.die_with_parent(signal.SIGTERM)  # once more: another user is another start for the kernel
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _inside(channel, folder, limits, separation)
    channel.close()
    code = _guard(child)
    shutil.rmtree(folder, ignore_errors=True)
    return code


def _guard(child: int) -> int:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if os.getppid() == 1:  # the worker ended before the kernel knew whom to tell
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


def _inside(channel: socket.socket, folder: str, limits: confine.Limits, separation: confine.Separation) -> None:
    """Become the sandbox; never returns, so that nothing of the guard runs here."""
    try:
        confine.die_with_parent(signal.SIGKILL)
        os.setsid()
        readable = confine.readable_paths()
        confine.hide_places(separation, folder, keep=readable, folder_bytes=limits.folder_bytes)
        confine.lock_files(folder, readable)
        confine.drop_powers()
        confine.limit(limits)
        os.chdir(folder)
        _serve(channel, folder, separation.missing)
    finally:
        os._exit(1)


def _serve(connection: socket.socket, folder: str, missing: tuple[str, ...]) -> None:
    from lepton.endpoints.replica.frames import Channel, Kind, unpack_batch, unpack_begin

    channel = Channel(connection)
    channel.send(Kind.CONFINED, ["\n".join(missing).encode()])
    files, numbers, texts = unpack_begin(channel.receive().body)
    try:
        model = _load(folder, files)
    except BaseException as error:  # noqa: BLE001 - an edge: whatever the class raises is told, by name
        _tell(channel, error)
        return
    del files
    channel.send(Kind.READY)
    while True:
        batch = channel.receive()
        try:
            matrix, columns = unpack_batch(batch.body, rows=batch.rows, width=len(numbers), texts=len(texts))
            named = {name: matrix[:, index] for index, name in enumerate(numbers)}
            answer = _array(model.predict(named | dict(zip(texts, columns, strict=True))))
        except BaseException as error:  # noqa: BLE001 - as above
            _tell(channel, error)
            continue
        width = answer.shape[1] if answer.ndim == 2 else 0
        channel.send(Kind.ANSWER, [answer.tobytes()], rows=len(answer), columns=width)


def _load(folder: str, files: dict[str, bytes]) -> Any:
    for name, data in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    sys.path.insert(0, folder)
    model = importlib.import_module("model").Model()
    model.load(folder)
    return model


def _array(answer: object) -> Any:
    import numpy as np

    array = np.ascontiguousarray(answer, dtype="<f8")
    if array.ndim not in (1, 2):
        raise ValueError
    return array


def _tell(channel: Any, error: BaseException) -> None:
    """Say which exception it was and where; never its text, which may quote values."""
    from lepton.endpoints.replica.frames import Kind

    own = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.name and _is_own(frame)]
    name = next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "builtins")
    channel.send(Kind.FAILED, [name.encode()], rows=own[-1] if own else 0)


def _is_own(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).name == "model.py"


def _own_channel() -> socket.socket:
    """Move the channel away from standard input, where the class would find it by accident."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    return channel


if __name__ == "__main__":
    sys.exit(main())
