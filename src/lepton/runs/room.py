"""How the workers of a run are cut up among machines. Pure: no catalog, no clock, no processes.

A run is on one machine if one has room for all of its workers, as these speak faster there; else on as few as can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lepton.runs.records import Machine, Part, Resources


def cut(workers: int, each: Resources, free: Sequence[Resources]) -> list[tuple[int, int]] | None:
    """Return on which machines so many workers are, and how many on each; None if there is no room for all of them.

    Taking those that hold the most gives the fewest, as all workers are alike. The last part goes where it leaves the
    least, which keeps large machines for what is large.

    Args:
        workers: How many, at least 1.
        each: What one takes.
        free: What each machine has free.
    """
    holds = [each.times_in(one, workers) for one in free]
    if sum(holds) < workers:
        return None
    parts: list[tuple[int, int]] = []
    by_size = sorted(range(len(free)), key=lambda number: (-holds[number], _order(free[number]), number))
    left = workers
    while holds[by_size[0]] < left:
        number = by_size.pop(0)
        parts.append((number, holds[number]))
        left -= holds[number]
    last = min((n for n in by_size if holds[n] >= left), key=lambda number: (_order(free[number]), number))
    return [*parts, (last, left)]


def pieces(workers: int, each: Resources, machines: Sequence[Machine]) -> tuple[Resources, ...]:
    """Return for what room is asked, piece by piece, when a run needs machines that are not there yet.

    One piece if a machine of those that are there could hold all of it; else each as large as the largest can hold, and
    with no machine to go by, one for each worker.
    """
    most = max((each.times_in(one.has, workers) for one in machines), default=0) or 1
    whole, rest = divmod(workers, most)
    return (each.times(most),) * whole + ((each.times(rest),) if rest else ())


def _order(free: Resources) -> tuple[float, int, int]:
    return (free.cpus, free.gpus, free.memory_mb)


@dataclass
class Room:
    """What machines have free while it is decided what starts.

    Attributes:
        free: What each machine has free.
    """

    machines: Sequence[Machine]
    free: list[Resources] = field(init=False)

    def __post_init__(self) -> None:
        self.free = [one.has - one.taken.at_most(one.has) for one in self.machines]
        self._numbers = {one.name: number for number, one in enumerate(self.machines)}
        self._could = list(self.free)

    @property
    def total(self) -> Resources:
        """What is free on all of them together; what is taken beyond what one has is not made up for by another."""
        return sum((one.at_most(one) for one in self.free), Resources.NONE)

    def could_hold(self, workers: int, each: Resources) -> bool:
        """Whether so many workers fit when nothing else runs."""
        return cut(workers, each, self._could) is not None

    def occupy(self, workers: int, each: Resources, parts: Iterable[Part]) -> None:
        """Take what a running run takes; of one of which nobody knows where it is, where most is free."""
        for part in parts:
            workers -= part.workers
            if part.machine in self._numbers:  # or it is on its way out with its machine
                number = self._numbers[part.machine]
                self.free[number] = self.free[number] - each.times(part.workers)
        while workers > 0 and self.free:
            number = max(range(len(self.free)), key=lambda n: _order(self.free[n]))
            count = max(each.times_in(self.free[number], workers), 1)
            self.free[number] = self.free[number] - each.times(count)
            workers -= count

    def take(self, workers: int, each: Resources) -> tuple[Part, ...] | None:
        """Take room for a run; None, and nothing taken, if there is not enough for all of its workers."""
        found = cut(workers, each, self.free)
        if found is None:
            return None
        for number, count in found:
            self.free[number] = self.free[number] - each.times(count)
        return tuple(Part(self.machines[number].name, count) for number, count in found)

    def keep(self, workers: int, each: Resources) -> None:
        """Keep what is free for a run that does not fit yet, on the machines where it will fit first.

        Which these are stays so: on those that are kept, only more becomes free.
        """
        order = sorted(range(len(self.free)), key=lambda n: (-each.times_in(self.free[n], workers), n))
        found = cut(workers, each, [self._could[number] for number in order])
        for place, count in found or ():
            number = order[place]
            self.free[number] = self.free[number] - each.times(count).at_most(self.free[number])
