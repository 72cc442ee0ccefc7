"""How an endpoint's deployments do: what all workers told, added up, and how that changed of late. Pure.

Kept in the control plane's memory: after a restart it begins anew with what the living workers have counted.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from lepton.endpoints.drifting import joined
from lepton.endpoints.replica.control import Words
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.reports import Comparison, Report, decode

STEP_S = 2.0
"""Between two points of the history."""
KEPT_S = 600.0
LATE_S = 10.0
"""After so long without a word, what was last heard is not how things stand now."""


@dataclass
class Tally:
    """One deployment, all workers together, since it was first seen.

    Attributes:
        queued: Requests that wait for the model, now.
        windows: Live values of each worker, as `Report.window`; those of ended workers included.
    """

    counts: Counts = field(default_factory=Counts)
    comparison: Comparison = field(default_factory=Comparison)
    queued: int = 0
    windows: list[str] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Add what one worker told."""
        self.counts.add(report.counts)
        self.queued += report.queued
        if report.comparison is not None:
            self.comparison.add(report.comparison)
        if report.window:
            self.windows.append(report.window)


@dataclass(frozen=True)
class Point:
    """One step of the history of a deployment.

    Attributes:
        at_s: When it ended, seconds since 1970.
        requests_per_s: Answers, refusals included.
        errors_per_s: Those among them with a status of 500 or above.
        p50_s: Median latency, None without answers.
        p99_s: Latency that 99 in 100 stayed within.
    """

    at_s: float
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None


Told = Mapping[str, list[Report]]
"""What each worker told, by its name."""


class Hearing:
    """Reads what the workers of one replica tell, each document once."""

    def __init__(self) -> None:
        self._documents: Mapping[str, str] = {}
        self._read: dict[str, list[Report]] = {}

    def read(self, words: Words) -> tuple[Told, Told]:
        """Return the reports of the workers that live, and of those that have ended since."""
        self._read = {
            name: self._read[name] if document == self._documents.get(name) else decode(document)
            for name, document in words.alive.items()
        }
        self._documents = words.alive
        return self._read, {name: decode(document) for name, document in words.ended.items()}


def of_endpoint(told: Told, endpoint: str) -> dict[str, list[Report]]:
    """Return what was told of one of the endpoints of a replica."""
    return {name: [report for report in reports if report.endpoint == endpoint] for name, reports in told.items()}


class Watch:
    """Remembers one endpoint."""

    def __init__(self) -> None:
        self._alive: Told = {}
        self._gone: dict[str, Tally] = {}
        self._past: deque[tuple[float, dict[str, Counts]]] = deque(maxlen=int(KEPT_S / STEP_S))

    def take(self, alive: Told, ended: Told, now_s: float) -> list[Report]:
        """Take what the workers told of this endpoint.

        Args:
            alive: Those that live.
            ended: Those that have ended since.
            now_s: Seconds since 1970.

        Returns:
            The reports that were not known yet, for their samples.
        """
        ended = dict(ended)
        for name, known in self._alive.items():
            if name not in alive and name not in ended:
                ended[name] = known  # it went without a last word
        for reports in ended.values():
            for report in reports:
                report.queued = 0
                tally = self._gone.setdefault(report.model, Tally())
                tally.add(report)
                tally.windows = joined(tally.windows)  # workers come and go without end
        fresh = [
            report for name, found in {**ended, **alive}.items() if found != self._alive.get(name) for report in found
        ]
        self._alive = alive
        if not self._past or now_s - self._past[-1][0] >= STEP_S:
            self._past.append((now_s, {model: tally.counts for model, tally in self.tallies().items()}))
        return fresh

    def tallies(self) -> dict[str, Tally]:
        """Return what each deployment has done, by model version."""
        found: dict[str, Tally] = {}
        for model, gone in self._gone.items():
            tally = found[model] = Tally(windows=[*gone.windows])
            tally.counts.add(gone.counts)
            tally.comparison.add(gone.comparison)
        for reports in self._alive.values():
            for report in reports:
                found.setdefault(report.model, Tally()).add(report)
        return found

    def recent(self, model: str, seconds: float) -> Counts:
        """Return what a deployment did in the last seconds, as far back as is remembered."""
        if not self._past:
            return Counts()
        latest_s, latest = self._past[-1]
        then = next((counts for at_s, counts in self._past if at_s >= latest_s - seconds), latest)
        return latest.get(model, Counts()).since(then.get(model, Counts()))

    def latest(self, model: str, seconds: float, now_s: float) -> Point:
        """Return how a deployment did in the last seconds; nothing if its workers have not been heard of lately."""
        past = [step for step in self._past if step[0] >= now_s - seconds]
        if len(past) < 2 or now_s - past[-1][0] > LATE_S:
            return Point(now_s, 0.0, 0.0, None, None)
        return _point(model, past[0], past[-1])

    def history(self, model: str) -> list[Point]:
        """Return how a deployment did step by step, the oldest first."""
        return [_point(model, before, after) for before, after in itertools.pairwise(self._past)]


def _point(model: str, before: tuple[float, dict[str, Counts]], after: tuple[float, dict[str, Counts]]) -> Point:
    done = after[1].get(model, Counts()).since(before[1].get(model, Counts()))
    span_s = max(after[0] - before[0], 1e-3)
    return Point(after[0], done.answers / span_s, done.errors / span_s, done.quantile_s(0.5), done.quantile_s(0.99))
