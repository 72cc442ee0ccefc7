"""Which runs start next, which make room, and why the others wait. Pure: no catalog, no clock, no processes.

Between projects, the one with the smallest dominant share is next; within a project, the highest priority, then who
came first. A run starts with all of its workers or not at all. Smaller runs may overtake one that does not fit, until
it has waited for `PATIENCE_S`; from then on, what becomes free is kept for it.
Source: Ghodsi et al., "Dominant Resource Fairness", NSDI 2011, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lepton.runs.records import Machine, Part, Quota, Resources, Use
from lepton.runs.room import Room

PATIENCE_S = 60.0
"""How long others may overtake a run that does not fit."""
PREEMPT_AFTER_S = 5.0
"""How long a run waits before others are ended for it: what is about to end anyway may."""
DEPTH = 100
"""How many runs of a project, first to start first, are looked at in one decision."""

_SCATTERED = "waiting for room for {} worker{}: what is free is scattered over several machines"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that may start.

    Attributes:
        needs: What all of its workers take together.
        waited_s: Since when it could have started.
        workers: How many it has, all alike; they may be on different machines of a cluster.
    """

    run_id: str
    project: str
    needs: Resources
    priority: int = 0
    waited_s: float = 0.0
    workers: int = 1

    @property
    def each(self) -> Resources:
        """What one of its workers takes."""
        return self.needs if self.workers == 1 else self.needs.over(self.workers)


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has workers.

    Attributes:
        needs: What all of its workers take together.
        ran_s: For how long.
        preemptible: Whether it may be ended to make room, and goes on later.
        leaving: Whether it has been told to end; its room is not free yet.
        workers: How many it has.
        parts: Where they are, as far as that is known.
    """

    run_id: str
    project: str
    needs: Resources
    priority: int = 0
    ran_s: float = 0.0
    preemptible: bool = False
    leaving: bool = False
    workers: int = 1
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What is to be done now.

    Attributes:
        start: Runs to start, first to start first.
        preempt: Runs that are to make room.
        reasons: Why each of the others that were looked at waits, for people.
        lacking: Those of them that more machines would help, first to start first.
        parts: On which machines of a cluster those are placed that start.
    """

    start: tuple[str, ...]
    preempt: tuple[str, ...]
    reasons: Mapping[str, str]
    lacking: tuple[str, ...] = ()
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)


def decide(
    waiting: Mapping[str, Sequence[Waiting]],
    started: Sequence[Started],
    machines: Sequence[Machine],
    *,
    quotas: Mapping[str, Quota],
    hours: Mapping[str, float],
    elsewhere: Mapping[str, Use] | None = None,
) -> Decision:
    """Decide what starts now.

    Args:
        waiting: Runs that may start, by project, in the order in which they are to; `DEPTH` of each are enough.
        started: Runs that have workers.
        machines: Those there are.
        quotas: What projects may use; a project that is not in it may use all.
        hours: Processor hours that projects with such a quota have used so far.
        elsewhere: What projects use of other machines, which counts for their quotas alone.
    """
    return _Round(waiting, started, machines, quotas, hours, elsewhere or {}).decide()


def used_by_project(runs: Iterable[tuple[str, Resources]]) -> dict[str, Use]:
    """Return what each project takes.

    Args:
        runs: Of each running run, its project and what all of its workers take together.
    """
    uses: dict[str, Use] = {}
    for project, needs in runs:
        use = uses.get(project, Use())
        uses[project] = Use(use.resources + needs, use.running + 1)
    return uses


@dataclass
class _Round:
    """One decision while it is made."""

    waiting: Mapping[str, Sequence[Waiting]]
    started: Sequence[Started]
    machines: Sequence[Machine]
    quotas: Mapping[str, Quota]
    hours: Mapping[str, float]
    elsewhere: Mapping[str, Use]
    start: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.total = sum((one.has for one in self.machines), Resources.NONE)
        self.free = self.total
        self.uses = used_by_project((one.project, one.needs) for one in self.started)
        self.room = None if [one.name for one in self.machines] == [""] else Room(self.machines)
        """What is free on each machine of a cluster; None: there is one machine, which may be asked for too much."""
        for one in self.started:
            if self.room is None:
                self.free = self.free - one.needs
            else:
                self.room.occupy(one.workers, one.needs.over(one.workers), one.parts)
        if self.room is not None:
            self.free = self.room.total
        self.kept: dict[str, Waiting] = {}
        """By project, the run that nobody overtakes any more."""
        self.full: dict[str, Waiting] = {}
        """By project, the first run for which there is no room."""

    def decide(self) -> Decision:
        left = {project: iter(runs) for project, runs in self.waiting.items() if runs}
        while left:
            project = min(left, key=lambda p: (self._share(p), p))
            if not self._next_of(project, left[project]):
                del left[project]
        preempted = tuple(self._preempted())
        return Decision(tuple(self.start), preempted, self.reasons, tuple(self.lacking), self.parts)

    def _next_of(self, project: str, runs: Iterator[Waiting]) -> bool:
        """Start the next run of a project that can start; False if there is none."""
        for run in runs:
            reason = self._why_not(run)
            if reason is None:
                self.start.append(run.run_id)
                if self.room is None:
                    self.free = self.free - self._taken(run.needs)
                self._count(project, run.needs)
                return True
            self.reasons[run.run_id] = reason
        return False

    def _why_not(self, run: Waiting) -> str | None:
        """Say why a run cannot start now; None if it can."""
        first = self.kept.get(run.project)
        if first is not None and first.priority >= run.priority:
            return f"its turn comes after run {first.run_id}, which has waited for long and needs the room first"
        too_large = _too_large(run, self.machines, self.room)
        quota, use, more = (
            self.quotas.get(run.project),
            self.uses.get(run.project, Use()),
            self.elsewhere.get(run.project),
        )
        if more is not None:
            use = Use(use.resources + more.resources, use.running + more.running)
        beyond = None if quota is None else _beyond(quota, run, use, self.hours.get(run.project, 0.0))
        if too_large is not None:
            if beyond is None:
                self.lacking.append(run.run_id)
            return too_large
        if beyond is not None:
            if run.waited_s > PATIENCE_S:
                self.kept[run.project] = run
            return beyond
        if self._is_placed(run):
            return None
        self.lacking.append(run.run_id)
        self.full.setdefault(run.project, run)
        needs = self._taken(run.needs)
        reason = _missing(needs, self.free) or _SCATTERED.format(run.workers, "" if run.workers == 1 else "s")
        if run.waited_s > PATIENCE_S:
            self.kept[run.project] = run
            if self.room is None:
                self.free = self.free - needs.at_most(self.free)
            else:
                self.room.keep(run.workers, run.each)
                self.free = self.room.total
        return reason

    def _is_placed(self, run: Waiting) -> bool:
        """Place a run, if there is room for it."""
        if self.room is None:
            return self._taken(run.needs).fits_in(self.free)
        # The first is quicker, and mostly says no.
        parts = self.room.take(run.workers, run.each) if run.needs.fits_in(self.free) else None
        if parts is None:
            return False
        self.parts[run.run_id] = parts
        self.free = self.room.total
        return True

    def _taken(self, needs: Resources) -> Resources:
        """Return what a run takes of the machines: on a single one, at most all of its processors."""
        if self.room is None and needs.cpus > self.total.cpus:
            return Resources(self.total.cpus, needs.memory_mb, needs.gpus)
        return needs

    def _preempted(self) -> list[str]:
        """Choose runs that make room for those that have waited, fewest first."""
        found: list[Started] = []
        coming = Resources.NONE
        for one in self.started:
            if one.leaving:
                coming = coming + one.needs
        for project in sorted(self.full, key=self._share):
            run = self.full[project]
            missing = self._taken(run.needs).beyond(self.free + coming)
            if run.waited_s < PREEMPT_AFTER_S or missing == Resources.NONE:
                continue
            victims = self._room_for(run, missing, {one.run_id for one in found})
            found += victims
            for one in victims:
                coming = coming + one.needs
            coming = coming - self._taken(run.needs).at_most(coming)
        return [one.run_id for one in found]

    def _room_for(self, run: Waiting, missing: Resources, taken: set[str]) -> list[Started]:
        """Return runs that together make room for what is missing; none if they cannot."""
        mine = self._share_of(self._used(run.project) + run.needs)
        able = [
            one
            for one in self.started
            if one.preemptible and not one.leaving and one.run_id not in taken and missing.overlaps(one.needs)
            and (
                one.priority < run.priority
                if one.project == run.project
                # Only as long as the other is left with as large a share, so that they do not take turns for ever.
                else self._share_of(self._used(one.project) - one.needs) >= mine
            )
        ]  # fmt: skip
        chosen: list[Started] = []
        for one in sorted(able, key=lambda o: (o.priority, o.ran_s, o.run_id)):
            chosen.append(one)
            missing = missing.beyond(one.needs)
            if missing == Resources.NONE:
                return chosen
        return []

    def _count(self, project: str, needs: Resources) -> None:
        use = self.uses.get(project, Use())
        self.uses[project] = Use(use.resources + needs, use.running + 1)

    def _used(self, project: str) -> Resources:
        return self.uses.get(project, Use()).resources

    def _share(self, project: str) -> float:
        return self._share_of(self._used(project))

    def _share_of(self, used: Resources) -> float:
        """Return the dominant share: of what it uses most of, how much of all there is."""
        total = self.total
        shares = (
            used.cpus / total.cpus if total.cpus else 0.0,
            used.memory_mb / total.memory_mb if total.memory_mb else 0.0,
            used.gpus / total.gpus if total.gpus else 0.0,
        )
        return max(shares)


def _too_large(run: Waiting, machines: Sequence[Machine], room: Room | None) -> str | None:
    """Say that a run can never start; on a single machine, too many processors only make it slow."""
    if room is not None and room.could_hold(run.workers, run.each):
        return None
    each = run.needs if room is None else run.each
    has = [one.has for one in machines]
    for what, asked, most in (
        ("processors", each.cpus, max((m.cpus for m in has), default=0.0)),
        ("MB of memory", each.memory_mb, max((m.memory_mb for m in has), default=0)),
        ("GPUs", each.gpus, max((m.gpus for m in has), default=0)),
    ):
        if asked > most and (room is not None or what != "processors"):
            worker = "a worker" if run.workers > 1 and room is not None else "it"
            return (
                f"{worker} asks for {asked:g} {what} and the largest machine has {most:g}, so it starts when there is "
                "a larger one; cancel it and ask for less"
            )
    if room is None:
        return None
    return (
        f"not all of its {run.workers} workers fit on the {len(has)} machines that there are, so it starts when there "
        "are more; cancel it and ask for less"
    )


def _beyond(quota: Quota, run: Waiting, use: Use, hours: float) -> str | None:
    """Say which part of a quota a run would pass, or None."""
    if quota.hours is not None and hours >= quota.hours:
        return f"the project has used {hours:.1f} of its {quota.hours:g} processor hours of this month"
    after = use.resources + run.needs
    for what, most, now, then in (
        ("runs", quota.running, use.running, use.running + 1),
        ("processors", quota.cpus, use.resources.cpus, after.cpus),
        ("MB of memory", quota.memory_mb, use.resources.memory_mb, after.memory_mb),
        ("GPUs", quota.gpus, use.resources.gpus, after.gpus),
    ):
        if most is not None and then > most:
            if then - now > most:
                return f"it asks for {then - now:g} {what} and the project's quota is {most:g}"
            return f"the project uses {now:g} of the {most:g} {what} of its quota"
    return None


def _missing(needs: Resources, free: Resources) -> str:
    """Say what there is too little of; empty: of nothing."""
    parts = [
        f"{asked:g} {what} ({max(there, 0):g} free)"
        for what, asked, there in (
            ("processors", needs.cpus, free.cpus),
            ("MB of memory", needs.memory_mb, free.memory_mb),
            ("GPUs", needs.gpus, free.gpus),
        )
        if asked > there
    ]
    return f"waiting for {' and '.join(parts)}" if parts else ""
