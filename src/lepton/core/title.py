"""What a list of processes shows of this one. Linux only, standard library only."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from pathlib import Path

ROOM = "." * 400
"""An argument for a process that is to get other words: they have to fit where its own were."""


class Title:
    """The words of this process's command line, to be written over.

    Make it before forking: it is good for the children too.
    """

    def __init__(self) -> None:
        # proc(5): fields 48 and 49 of stat say where the kernel takes them from.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._begin, self._end = int(fields[45]), int(fields[46])

    def show(self, words: Iterable[str]) -> None:
        """Show these words instead, as far as there is room."""
        room = self._end - self._begin
        if self._begin and room > 0:
            text = "\0".join(words).encode(errors="replace")[: room - 1]
            ctypes.memmove(self._begin, text.ljust(room, b"\0"), room)
