"""Measures how many of our modules lie between a door and its SQL, its arithmetic or the wire.

As a program, ``python hops.py FOLDER RUN`` is a worker that writes its longest chains into a folder when it ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

WIRE = "httpx2"
NUMERIC = {"numpy", "polars", "onnxruntime", "sklearn"}
BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
"""What the database adds around every transaction, from one module of the store; it is nobody's SQL."""

Chain = tuple[str, ...]


def chain_of(frame: FrameType | None) -> Chain:
    """Our modules on a stack, from the outermost, each once; modules that are being imported do not count."""
    found = []
    while frame is not None:
        name = _module(frame)
        if name.startswith("lepton.") and frame.f_code.co_name != "<module>":
            found.append(name)
        frame = frame.f_back
    return tuple(dict.fromkeys(reversed(found)))


class Hops:
    """Notes the chain of every statement, and of every step from our code into a library that calculates or sends."""

    def __init__(self, complete: Callable[[Chain], Chain] = lambda chain: chain) -> None:
        self.sql: set[Chain] = set()
        self.arithmetic: set[Chain] = set()
        self.wire: set[Chain] = set()
        self._complete = complete

    def start(self) -> None:
        """Watch this thread, those that start from now on, and every database."""
        import sqlalchemy as sa

        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement)
        threading.setprofile(self._call)
        sys.setprofile(self._call)

    def stop(self) -> None:
        """Stop watching."""
        import sqlalchemy as sa

        sys.setprofile(None)
        threading.setprofile(None)
        sa.event.remove(sa.Engine, "before_cursor_execute", self._statement)

    def _statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(BRACKETS):
            self.sql.add(self._complete(chain_of(sys._getframe())))

    def _call(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            ours, called = frame.f_back, _module(frame)
        elif event == "c_call":
            ours, called = frame, str(getattr(argument, "__module__", None) or "")
        else:
            return
        if ours is None or not _module(ours).startswith("lepton."):
            return
        if called.partition(".")[0] in NUMERIC:
            self.arithmetic.add(self._complete(chain_of(ours)))
        elif called.partition(".")[0] == WIRE:
            self.wire.add(chain_of(ours))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def main(folder: str, run_id: str) -> int:
    """Work on a run and write down the chains."""
    os.environ["POLARS_OOC_DISK_BUDGET_MB"] = "0"
    from lepton import worker

    hops = Hops()
    hops.start()
    sys.argv = ["lepton.worker", run_id]
    try:
        return worker.main()
    finally:
        hops.stop()
        found = {"sql": sorted(hops.sql), "arithmetic": sorted(hops.arithmetic)}
        (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
