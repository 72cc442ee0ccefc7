"""How many workers a load needs. Pure: what is seen and when goes in, a number comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import sub

from lepton.endpoints.replica.config import Workers
from lepton.endpoints.replica.link import Load
from lepton.endpoints.replica.metrics import LATENCY_BOUNDS_S

HOLD_S = 30.0
"""Fewer workers must have been enough for this long before one is ended."""
PAUSE_S = 2.0
"""After a change the load is left this long to spread, before more are added for being slow."""


@dataclass(frozen=True)
class Target:
    """What one worker should carry.

    Attributes:
        pending: Requests in flight, queued ones included.
        utilization: Share of one processor, 0 to 1.
        p99_s: Latency in seconds that 99 of 100 requests should keep to; None: as long as it takes.
        slack: A worker is ended only if the others would then carry at most this share of their targets.
    """

    pending: float = 16.0
    utilization: float = 0.75
    p99_s: float | None = None
    slack: float = 0.8


@dataclass(frozen=True)
class Seen:
    """What all workers that are ready did since the last look.

    Attributes:
        ready: How many they are.
        pending: Requests in flight now, queued ones included.
        cpu: Processors that they kept busy.
        requests: Requests answered.
        p99_s: Latency of the slowest hundredth; None if nothing was answered.
    """

    ready: int
    pending: int
    cpu: float
    requests: int = 0
    p99_s: float | None = None


@dataclass(frozen=True)
class Scale:
    """How many workers there should be, and what has to be remembered to decide it again.

    Attributes:
        wanted: Workers.
        changed_s: When `wanted` changed last.
        low_since_s: Since when fewer would have been enough; None if they would not be now.
        asked_s: When somebody last asked for a prediction.
    """

    wanted: int
    changed_s: float
    low_since_s: float | None = None
    asked_s: float = 0.0


def begin(workers: Workers, now_s: float) -> Scale:
    """Start with the least, but with one where that is none: it shows whether the models can be loaded."""
    return Scale(max(1, workers.min), now_s, asked_s=now_s)


def step(scale: Scale, workers: Workers, seen: Seen, now_s: float, target: Target | None = None) -> Scale:
    """Decide again.

    More are added at once, as many as the load needs. One at a time is ended, when fewer have been enough for a while.
    The last is ended when nobody has asked for `Workers.idle_s`, if none at all is allowed.
    """
    target = target or Target()
    asked_s = now_s if seen.pending or seen.requests else scale.asked_s
    wanted = min(max(scale.wanted, workers.min), workers.max)
    low_since_s = scale.low_since_s
    up = min(_needed(scale, seen, now_s, target), workers.max)
    fewer = wanted - 1
    if up > wanted:
        wanted, low_since_s = up, None
    elif fewer < max(workers.min, 1) or not _enough(fewer, seen, target):
        low_since_s = None
    elif low_since_s is None:
        low_since_s = now_s
    elif now_s - low_since_s >= HOLD_S:
        wanted, low_since_s = fewer, now_s
    if workers.min == 0 and wanted == 1 and now_s - asked_s >= workers.idle_s:
        wanted = 0
    return Scale(wanted, now_s if wanted != scale.wanted else scale.changed_s, low_since_s, asked_s)


def within(scale: Scale, workers: Workers, now_s: float) -> Scale:
    """Keep to another range, from now on."""
    wanted = min(max(scale.wanted, workers.min), workers.max)
    return Scale(wanted, now_s, asked_s=scale.asked_s)


def woken(scale: Scale, now_s: float) -> Scale:
    """Want one worker, as somebody knocks while there is none."""
    return Scale(max(1, scale.wanted), now_s, asked_s=now_s)


def _needed(scale: Scale, seen: Seen, now_s: float, target: Target) -> int:
    needed = max(math.ceil(seen.pending / target.pending), math.ceil(seen.cpu / target.utilization))
    if seen.ready and seen.cpu / seen.ready >= target.utilization and now_s - scale.changed_s >= PAUSE_S:
        needed = max(needed, seen.ready + 1)  # they are busy all the time: how much more there is cannot be seen
    slow = target.p99_s is not None and seen.p99_s is not None and seen.p99_s > target.p99_s
    if slow and now_s - scale.changed_s >= PAUSE_S:
        needed = max(needed, seen.ready + 1)
    return needed


def _enough(workers: int, seen: Seen, target: Target) -> bool:
    if target.p99_s is not None and seen.p99_s is not None and seen.p99_s > target.p99_s * target.slack:
        return False
    limit = workers * target.slack
    return seen.pending <= limit * target.pending and seen.cpu <= limit * target.utilization


def seen(before: Mapping[int, Load], now: Mapping[int, Load], span_s: float) -> Seen:
    """Sum up what workers, by process id, reported at the last look and at this one, `span_s` seconds later."""
    changes = [(before.get(pid, Load()), load) for pid, load in now.items()]
    latency = [
        sum(counts) for counts in zip(*(map(sub, new.latency, old.latency) for old, new in changes), strict=True)
    ]
    return Seen(
        ready=len(now),
        pending=sum(load.in_flight for load in now.values()),
        cpu=sum(new.cpu_s - old.cpu_s for old, new in changes) / span_s,
        requests=sum(new.requests - old.requests for old, new in changes),
        p99_s=percentile_s(latency, 0.99),
    )


def percentile_s(counts: Sequence[int], share: float) -> float | None:
    """Return the upper bound of the latency bucket in which a share of the requests ends; None if there were none.

    Args:
        counts: As in `Load.latency`.
        share: 0.99 for the slowest hundredth.
    """
    total, so_far = sum(counts), 0
    bounds: Sequence[float] = (*LATENCY_BOUNDS_S, math.inf)
    for count, bound_s in zip(counts, bounds, strict=True):
        so_far += count
        if count and so_far >= share * total:
            return bound_s
    return None
