"""The measurement: each peer in turn, round after round; each cell at full speed and at half of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serving import processes
from benchmarks.serving.cases import Case
from benchmarks.serving.load import Load, Result
from benchmarks.serving.peer import NotMeasured
from benchmarks.serving.server import Questions, Server

WARM_S = 0.2
CHATTY_SHARE = 0.9
"""A load generator above this share of its core may be what limits a row."""
ENOUGH = 100
"""Answers at half load below which a cell runs up to three times as long, and below which there is no p99."""
SHARED_SHARE = 0.05
"""Above it, other programs have slowed the server down; its CPU time an answer stays good."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        program: The compiled load generator.
        full_s: Seconds at full speed, in the closed loop.
        half_s: Seconds at half of it, in the open loop.
        core: Where the load comes from; the caller keeps itself there.
    """

    program: Path
    cases: Sequence[Case]
    connections: Sequence[int]
    full_s: float
    half_s: float
    core: int


@dataclass(frozen=True)
class Reading:
    """One cell in one round.

    Attributes:
        rate: Answers a second at full speed.
        cpu_us: Server CPU microseconds an answer, user and system, of its whole tree, at full speed.
        server_share: Share of its core that the server used at full speed.
        others_share: Share of the server's core that other programs took away meanwhile.
        load_share: Share of its core that the load generator used at full speed.
        p50_ms: Of the open loop at half of `rate`, from when a request was due.
        half_unanswered: Requests that were due in the open loop and got no answer.
    """

    rate: float
    cpu_us: float
    server_share: float
    others_share: float
    load_share: float
    p50_ms: float
    p99_ms: float
    half_rate: float
    half_answered: int
    half_unanswered: int


@dataclass
class Findings:
    """All readings of one peer.

    Attributes:
        cells: By case and connections, a reading for each round.
        refused: Why a case was not measured.
        reason: Why nothing was.
    """

    cells: dict[tuple[Case, int], list[Reading]] = field(default_factory=dict)
    refused: dict[Case, str] = field(default_factory=dict)
    start_s: list[float] = field(default_factory=list)
    memory: list[processes.Memory] = field(default_factory=list)
    installed_mib: float = 0.0
    strays: int = 0
    reason: str | None = None


def measure(server: Server, plan: Plan, findings: Findings) -> Iterator[str]:
    """Measure one peer in one round; yield a line a cell for the screen."""
    findings.start_s.append(server.start_s)
    for case in plan.cases:
        if case in findings.refused or case.format not in server.peer.formats:
            continue
        try:
            questions = server.questions(case)
            server.check(questions)
            findings.strays += processes.pin(server.roots, server.place.core)
            for connections in plan.connections:
                reading = _cell(server, questions, connections, plan)
                findings.cells.setdefault((case, connections), []).append(reading)
                yield (
                    f"  {case.name:<20} {connections:>3} connections {reading.rate:>9,.0f}/s {reading.cpu_us:>8,.1f} us"
                    f"   p50 {reading.p50_ms:.2f} p99 {reading.p99_ms:.2f} ms"
                )
        except NotMeasured as reason:
            findings.refused[case] = str(reason)
            yield f"  {case.name:<20} not measured: {reason}"
    findings.memory.append(processes.Memory.of(server.roots))


def _cell(server: Server, questions: Questions, connections: int, plan: Plan) -> Reading:
    requests = [request.bytes_for(server.port(questions.case)) for request in questions.requests]
    common = {"port": server.port(questions.case), "connections": connections}
    with Load(plan.program, requests, seconds=plan.full_s, **common) as load:
        load.warm(WARM_S)
        roots, core = server.roots, server.place.core
        before, busy = processes.CpuTime.of(roots), processes.busy_s(core)
        full = load.go()
        worked = processes.busy_s(core) - busy
        spent = processes.CpuTime.of(roots).since(before)
        _check(server, questions, full, load)
    rate = full.rate / 2
    half_s = max(plan.half_s, min(plan.half_s * 3, ENOUGH / rate))
    with Load(plan.program, requests, seconds=half_s, rate=rate, **common) as load:
        half = load.go()
        _check(server, questions, half, load)
    return Reading(
        rate=full.rate,
        cpu_us=1e6 * spent / full.answered,
        server_share=spent / full.seconds,
        others_share=max(0.0, worked - spent) / full.seconds,
        load_share=full.load_share,
        p50_ms=half.p50_ns / 1e6,
        p99_ms=half.p99_ns / 1e6,
        half_rate=rate,
        half_answered=half.answered,
        half_unanswered=half.unanswered,
    )


def _check(server: Server, questions: Questions, result: Result, load: Load) -> None:
    if result.wrong_status:
        raise NotMeasured(f"under load it answers {result.last_status} ({result.wrong_status} times)")
    if result.surplus:
        raise NotMeasured(f"under load it sends answers to nothing that was asked ({result.surplus} times)")
    if result.errors:
        raise NotMeasured(f"under load it closes connections ({result.errors} times)")
    if not result.answered:
        raise NotMeasured("it answers nothing within the time of a cell; try a longer one: --seconds 3")
    for sample in load.samples():
        server.check_answer(questions, sample.request, sample.head, sample.body)
