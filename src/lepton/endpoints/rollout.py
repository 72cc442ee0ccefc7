"""Whether a canary goes on or goes back: what it did of late beside the main version, by a few rules. Pure.

The controller asks again and again (`operations`), so the rules want more than chance would give in a rollout's life.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from lepton.endpoints.drift import Level
from lepton.endpoints.replica.metrics import LATENCY_BOUNDS_S, Counts


@dataclass(frozen=True)
class Rules:
    """When a canary goes back.

    Attributes:
        window_s: How far back is looked, at most to when the canary was deployed.
        min_requests: A canary that has answered fewer is not judged.
        deviations: How much worse it must be than the main version, in standard deviations of the difference of two
            shares: one to two in a thousand canaries that are no worse reach 4 by chance.
        min_failing: How many more of its requests must fail than of the main version's, as a share.
        alone_failing: Share that must fail where the main version has too few answers to be compared with.
        slower: Factor over the main version's p99 from which a request counts as slow.
        min_slower_s: A p99 that is worse by less than this is not worth going back.
        slow_share: Share of its requests that must be slow: one in a hundred is what p99 means.
        restarts: How often workers must have ended by themselves since it was deployed.
    """

    window_s: float = 300.0
    min_requests: int = 50
    deviations: float = 4.0
    min_failing: float = 0.01
    alone_failing: float = 0.5
    slower: float = 2.0
    min_slower_s: float = 0.01
    slow_share: float = 0.01
    restarts: int = 3


@dataclass(frozen=True)
class Drift:
    """How far the rows of late are from what each version was trained on."""

    main: Level = Level.STABLE
    canary: Level = Level.STABLE


def judge(main: Counts, canary: Counts, rules: Rules, drift: Drift | None = None) -> str | None:
    """Say why a canary should go back.

    Failed are requests that were answered with 500 or more, or with 429 as they waited too long; those that a limit of
    the endpoint refused count for nobody.

    Args:
        main: What the main version did.
        canary: What the canary did in the same time.
        rules: How much is too much.
        drift: None if it is not known.

    Returns:
        Half a sentence that follows "went back, as"; None to go on.
    """
    if _answers(canary) < rules.min_requests:
        return None
    return _failing(main, canary, rules) or _slow(main, canary, rules) or _drifted(drift)


def deviations(ours: tuple[int, int], theirs: tuple[int, int]) -> float:
    """Return how far the share of one group is above that of another, in standard deviations.

    The two-proportion z-test with a pooled share (Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8
    <873::AID-SIM779>3.0.CO;2-I).

    Args:
        ours: How many of how many, in the group that may be worse.
        theirs: The same of the other.
    """
    (k1, n1), (k2, n2) = ours, theirs
    if not n1 or not n2 or not 0 < k1 + k2 < n1 + n2:
        return 0.0
    pooled = (k1 + k2) / (n1 + n2)
    return (k1 / n1 - k2 / n2) / math.sqrt(pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2))


def _failing(main: Counts, canary: Counts, rules: Rules) -> str | None:
    ours, theirs = (_failed(canary), _answers(canary)), (_failed(main), _answers(main))
    share = ours[0] / ours[1]
    if theirs[1] < rules.min_requests:
        if share < rules.alone_failing:
            return None
        return f"{_percent(share)} of its {ours[1]} requests failed"
    usual = theirs[0] / theirs[1]
    if share - usual < rules.min_failing or deviations(ours, theirs) < rules.deviations:
        return None
    return f"{_percent(share)} of its {ours[1]} requests failed, and {_percent(usual)} of the main version's"


def _slow(main: Counts, canary: Counts, rules: Rules) -> str | None:
    if _answers(main) < rules.min_requests:
        return None
    usual_s = main.quantile_s(0.99)
    if usual_s is None or math.isinf(usual_s):
        return None
    limit_s = max(rules.slower * usual_s, usual_s + rules.min_slower_s)
    ours, theirs = (_above(canary, limit_s), _answers(canary)), (_above(main, limit_s), _answers(main))
    if ours[0] <= rules.slow_share * ours[1] or deviations(ours, theirs) < rules.deviations:
        return None
    return (
        f"{_percent(ours[0] / ours[1])} of its requests took over {limit_s * 1000:.3g} ms, and 99 in 100 of the main "
        f"version's at most {usual_s * 1000:.3g} ms"
    )


def _drifted(drift: Drift | None) -> str | None:
    if drift is None or drift.canary is not Level.MAJOR or drift.main is Level.MAJOR:
        return None
    return "the rows it is asked are far from those it was trained on, and not so far from the main version's"


def _answers(counts: Counts) -> int:
    return counts.answers - counts.limited


def _failed(counts: Counts) -> int:
    return counts.errors + counts.requests.get(429, 0) - counts.limited


def _above(counts: Counts, limit_s: float) -> int:
    """Answers that surely took longer: those in the bins that begin at the limit or above."""
    return sum(counts.latencies[bisect_left(LATENCY_BOUNDS_S, limit_s) + 1 :])


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
