"""What a training saves to go on from when it was killed: files in one folder, which whoever runs it keeps.

Worker 0 saves, and gives what it has saved to all, so that they go on from the same state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lepton.training.collective import Collective

KEPT = 2
"""The last may be on its way while the process is killed; the one before is whole."""
_NAME = re.compile(r"recipe-(\d{12})\.bin")


@dataclass(frozen=True)
class Checkpoint:
    """A state to go on from: how many steps were done, and whatever the recipe needs, as bytes."""

    step: int
    state: bytes


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: Where they are kept; None: nowhere.
        every: After how many steps one is due.
    """

    def __init__(self, folder: Path | None = None, *, every: int = 100) -> None:
        self._folder = folder
        self.every = every

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be saved after `step` steps."""
        return self._folder is not None and step % self.every == 0

    def save(self, step: int, state: Callable[[], bytes], collective: Collective) -> None:
        """Save the state after `step` steps; only worker 0 is asked for it."""
        if self._folder is None or collective.rank:
            return
        path = self._folder / f"recipe-{step:012d}.bin"
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.write(state())
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        for _, old in self._found()[:-KEPT]:
            with suppress(FileNotFoundError):
                old.unlink()

    def restore(self, collective: Collective) -> Checkpoint | None:
        """Return the last one, the same on every worker; None if there is none. All workers must ask."""
        told = b""
        if collective.rank == 0 and (found := self._found()):
            step, path = found[-1]
            told = step.to_bytes(8, "big") + path.read_bytes()
        told = collective.broadcast(told)
        return Checkpoint(int.from_bytes(told[:8], "big"), told[8:]) if told else None

    def _found(self) -> list[tuple[int, Path]]:
        if self._folder is None or not self._folder.is_dir():
            return []
        matched = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(match[1]), path) for match, path in matched if match)
