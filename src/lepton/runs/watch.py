"""Following one run: permission is asked once, then each look costs one row, and the new end of a followed log."""

from __future__ import annotations

from collections.abc import Callable

from lepton.runs.records import LogPage, Run, RunChange

Look = Callable[[int], tuple[Run, LogPage]]


class RunWatch:
    """Says at each `poll` what is new.

    Attributes:
        after: Cursor of the log; a new watch that begins there goes on where this one is.
    """

    def __init__(self, look: Look, after: int) -> None:
        self._look = look
        self._seen: Run | None = None
        self.after = after

    def poll(self) -> RunChange:
        """Return the run if it changed since the last call, and the lines that came since; returns at once."""
        run, page = self._look(self.after)
        changed = run if run != self._seen else None
        self._seen = run
        self.after = page.next
        return RunChange(changed, page)
