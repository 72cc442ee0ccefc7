"""The readings as tables in Markdown, as JSON and as a picture."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from statistics import median

from benchmarks.serving.cases import Case
from benchmarks.serving.measure import CHATTY_SHARE, ENOUGH, SHARED_SHARE, Findings, Plan, Reading
from benchmarks.serving.peer import Peer

MODELS = {"logistic": "Logistic regression, 30 float64 features", "mlp": "MLP 784-512-256-10, float32"}
FOOTNOTES = {
    "¹": f"The load generator used over {CHATTY_SHARE:.0%} of its own core in a round: the server may reach more.",
    "²": f"Other programs used over {SHARED_SHARE:.0%} of the server's core in most rounds: it is faster when alone.",
}
BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"


def tables(findings: Mapping[str, Findings], peers: Mapping[str, Peer], plan: Plan) -> str:
    """Write all tables, medians with the lowest and highest of the rounds in brackets."""
    parts = [_machine(plan)]
    shapes = dict.fromkeys((case.model, case.rows) for case in plan.cases)
    for model, rows in shapes:
        cases = [case for case in plan.cases if (case.model, case.rows) == (model, rows)]
        for connections in plan.connections:
            title = f"#### {MODELS[model]}, {rows} row{'s' if rows > 1 else ''} a request, {connections} connection"
            parts.append(f"{title}{'s' if connections > 1 else ''}\n\n{_cells(findings, cases, connections)}")
    parts += [f"#### Start, memory, size\n\n{_servers(findings, peers)}", _refusals(findings)]
    return "\n\n".join(filter(None, parts))


def _machine(plan: Plan) -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {model[1] if model else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {plan.full_s:g} s a cell at full speed, {plan.half_s:g} s at half."
    )


def _cells(findings: Mapping[str, Findings], cases: list[Case], connections: int) -> str:
    lines = [
        "| server | format | answers/s | CPU µs | p50 ms at half load | p99 ms at half load |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in findings.items():
        for case in cases:
            readings = found.cells.get((case, connections))
            if not readings or case in found.refused:
                continue
            marks = _marks(readings)
            columns = [
                _spread([r.rate for r in readings], 0) + marks,
                _spread([r.cpu_us for r in readings], 1),
                _spread([r.p50_ms for r in readings], 2),
                _tail(readings) + _unanswered(readings),
            ]
            lines.append(f"| {name} | {case.format} | {' | '.join(columns)} |")
    for mark, sentence in FOOTNOTES.items():
        if any(mark in line for line in lines[2:]):
            lines += ["", f"{mark} {sentence}"]
    return "\n".join(lines) if len(lines) > 2 else "Nothing was measured."


def _marks(readings: list[Reading]) -> str:
    chatty = max(reading.load_share for reading in readings) > CHATTY_SHARE
    shared = median(reading.others_share for reading in readings) > SHARED_SHARE
    return "".join((" ¹" if chatty else "", " ²" if shared else ""))


def _spread(values: list[float], digits: int) -> str:
    middle = f"{median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def _tail(readings: list[Reading]) -> str:
    enough = all(reading.half_answered >= ENOUGH for reading in readings)
    return _spread([reading.p99_ms for reading in readings], 2) if enough else "–"


def _unanswered(readings: list[Reading]) -> str:
    count = sum(reading.half_unanswered for reading in readings)
    return f", {count} unanswered" if count else ""


def _servers(findings: Mapping[str, Findings], peers: Mapping[str, Peer]) -> str:
    lines = [
        "| server | start to first prediction, s | memory PSS · RSS, MiB | installed, MiB | what it is |",
        "|---|---|---|---|---|",
    ]
    for name, found in findings.items():
        if not found.start_s:
            continue
        memory = " · ".join(
            f"{median(values):,.0f}" if (values := [getattr(m, kind) for m in found.memory]) else "–"
            for kind in ("pss", "rss")
        )
        size = f"{found.installed_mib:,.0f}" if found.installed_mib else "–"
        what = "; ".join(filter(None, [", ".join(peers[name].packages[:1]), peers[name].note]))
        lines.append(f"| {name} | {_spread(found.start_s, 2)} | {memory} | {size} | {what} |")
    return "\n".join(lines)


def _refusals(findings: Mapping[str, Findings]) -> str:
    lines = []
    for name, found in findings.items():
        if found.reason:
            lines.append(f"* {name}: not measured: {_one_line(found.reason)}")
        for why in dict.fromkeys(found.refused.values()):
            cases = [case.name for case, reason in found.refused.items() if reason == why]
            lines.append(f"* {name}, {', '.join(cases)}: not measured: {_one_line(why)}")
    return "#### Not measured\n\n" + "\n".join(lines) if lines else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def as_json(findings: Mapping[str, Findings]) -> dict[str, object]:
    """Return every reading of every round."""
    return {
        name: {
            "reason": found.reason,
            "refused": {case.name: why for case, why in found.refused.items()},
            "start_s": found.start_s,
            "memory_mib": [asdict(memory) for memory in found.memory],
            "installed_mib": found.installed_mib,
            "threads_moved_back_to_the_core": found.strays,
            "cells": [
                {"case": case.name, "connections": connections, "rounds": [asdict(reading) for reading in readings]}
                for (case, connections), readings in found.cells.items()
            ],
        }
        for name, found in findings.items()
    }


def plot(findings: Mapping[str, Findings], connections: int = 16) -> str:
    """Draw server CPU microseconds an answer for one logistic regression, as SVG: one bar a server and format."""
    bars = [
        (f"{name} ({case.format})", median(reading.cpu_us for reading in readings))
        for name, found in findings.items()
        for (case, count), readings in found.cells.items()
        if (case.model, case.rows, count) == ("logistic", 1, connections) and case not in found.refused
    ]
    bars.sort(key=lambda bar: bar[1])
    longest = max((value for _, value in bars), default=1.0)
    height = 40 + 24 * len(bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" '
        'font-size="13">',
        f'<text x="10" y="20">Server CPU µs a prediction: logistic regression, 1 row, {connections} connections</text>',
    ]
    for number, (label, value) in enumerate(bars):
        y = 34 + 24 * number
        color = "#2f6fde" if label.startswith("lepton") else "#9aa4b2"
        lines += [
            f'<text x="190" y="{y + 13}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="200" y="{y}" width="{max(1.0, 460 * value / longest):.1f}" height="18" fill="{color}"/>',
            f'<text x="{206 + 460 * value / longest:.1f}" y="{y + 13}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def write_docs(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def own_size_mib(name: str) -> float:
    """Return the installed size of Lepton with all that it needs; the environment of a checkout holds more."""
    if name != "lepton":
        return 0.0
    total, waiting, seen = 0, ["lepton-platform"], set()
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found = metadata.distribution(wanted)
        except metadata.PackageNotFoundError:  # for another system or Python
            continue
        paths = (Path(str(file.locate())) for file in found.files or [] if not str(file).endswith(".pyc"))
        total += sum(path.stat().st_size for path in paths if path.is_file())
        for requirement in found.requires or []:
            if "extra ==" not in requirement:
                waiting.append(re.match(r"[\w.-]+", requirement)[0])  # type: ignore[index]
    import lepton

    source = Path(lepton.__file__).parent
    total += sum(p.stat().st_size for p in source.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return total / (1 << 20)
