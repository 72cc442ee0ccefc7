"""Which processors and GPUs of this machine a worker has for itself: no other worker holds them at the same time.

The queue counts how many are taken; here it is decided which. The kernel lets go of them when a launcher ends, however
it ends.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lepton.core.errors import Unavailable
from lepton.launch.places import ground

VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def processors(wanted: float) -> Iterator[list[int]]:
    """Hold processors; yields none, which means any of them, if that is not possible or would change nothing.

    Args:
        wanted: How many; a worker that wants less than one, or a fraction more than some, shares them with others.
    """
    there = sorted(os.sched_getaffinity(0))
    if wanted != math.floor(wanted) or not 0 < wanted < len(there):
        yield []
        return
    with ExitStack() as held:
        mine = held.enter_context(_held("processors", [str(number) for number in there], int(wanted)))
        if len(mine) < wanted:
            held.close()
            mine = []
        yield [int(number) for number in mine]


@contextmanager
def gpus(wanted: int, variables: Mapping[str, str], devices: Path = Path("/dev")) -> Iterator[str]:
    """Hold GPUs; yields what ``CUDA_VISIBLE_DEVICES`` has to be, empty for none.

    Args:
        wanted: How many.
        variables: The environment that the engine made; if it names GPUs, they are of those.
        devices: Where the system shows them.

    Raises:
        Unavailable: if fewer are free.
    """
    named = [name.strip() for name in variables.get(VISIBLE, "").split(",") if name.strip()]
    numbers = sorted(int(path.name[6:]) for path in devices.glob("nvidia[0-9]*") if path.name[6:].isdigit())
    with _held("gpus", named or [str(number) for number in numbers], wanted) as mine:
        if len(mine) < wanted:
            raise Unavailable(
                f"The run wants {wanted} GPUs for each worker, and {len(mine)} of this machine are free: others hold "
                "them, outside of the queue. Retry it when they are done."
            )
        yield ",".join(mine)


@contextmanager
def _held(what: str, there: Sequence[str], wanted: int) -> Iterator[list[str]]:
    """Hold as many as are wanted of those that are there, or as many as are free."""
    folder = ground() / what
    folder.mkdir(mode=0o700, exist_ok=True)
    mine: list[str] = []
    with ExitStack() as held:
        for name in there:
            if len(mine) == wanted:
                break
            handle = os.open(folder / name.replace("/", "_"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            mine.append(name)
        yield mine
