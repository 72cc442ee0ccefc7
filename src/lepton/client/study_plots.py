"""A study as pictures: history, importance, slices, contour and parallel coordinates, in SVG alone. Pure."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = str | int | float | bool | None
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 16, 36
SLICE_WIDTH = 300
MOST_DOTS, MOST_ROWS, CELLS = 2000, 200, 24
_STYLE = "max-width:100%;font:12px sans-serif;background:#fff"
_GOOD, _BAD = (24, 100, 171), (255, 192, 120)
_LINES = "#888"


@dataclass(frozen=True)
class Axis:
    """A setting: numbers from `low` to `high`, or the words of a choice."""

    name: str
    low: float | None
    high: float | None
    log: bool
    words: tuple[str, ...] = ()

    def share(self, value: Value) -> float | None:
        """Return where a value lies on the axis, 0 to 1; None if it does not."""
        if self.words:
            text = str(value)
            if text not in self.words:
                return None
            return 0.5 if len(self.words) == 1 else self.words.index(text) / (len(self.words) - 1)
        if not isinstance(value, int | float) or self.low is None or self.high is None:
            return None
        low, high, at = self.low, self.high, float(value)
        if self.log and low > 0 and at > 0:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return 0.5 if high <= low else min(max((at - low) / (high - low), 0.0), 1.0)

    def ends(self) -> tuple[str, str]:
        """Return what is written at both ends."""
        if self.words:
            return self.words[0], self.words[-1]
        return _short(self.low), _short(self.high)


@dataclass(frozen=True)
class Tried:
    """A trial."""

    number: int
    state: str
    value: float | None
    params: Mapping[str, Value]


@dataclass(frozen=True)
class Searched:
    """What is drawn.

    Attributes:
        goal: What the value is called.
        maximize: Whether higher is better.
        importance: How much each setting matters; may be empty.
        best: Number of the best trial.
        model: What was trained with it; may be empty.
    """

    title: str
    goal: str
    maximize: bool
    axes: tuple[Axis, ...]
    trials: tuple[Tried, ...]
    importance: Mapping[str, float]
    best: int | None
    model: str = ""

    @property
    def complete(self) -> list[tuple[Tried, float]]:
        """The trials that have a value, and the value."""
        return [(one, one.value) for one in self.trials if one.value is not None][-MOST_DOTS:]

    def color(self, value: float) -> str:
        """Return the color of a value: the best are blue, the worst are pale."""
        values = [found for _, found in self.complete]
        low, high = min(values), max(values)
        share = 0.5 if high <= low else (value - low) / (high - low)
        share = share if self.maximize else 1 - share
        return "#" + "".join(f"{round(b + (g - b) * share):02x}" for g, b in zip(_GOOD, _BAD, strict=True))


def page(title: str, body: str) -> str:
    """Return a page of its own."""
    return f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title><body>{body}</body>'


def draw(study: Searched) -> str:
    """Return all pictures and the table of trials."""
    lead = f"{len(study.trials)} trials"
    best = next((one for one in study.trials if one.number == study.best), None)
    if best is not None:
        lead += f"; the best is trial {best.number}: {study.goal} {_short(best.value)}, {_written(best.params)}"
    if study.model:
        lead += f"; model {study.model}"
    parts = [f"<h2>{html.escape(study.title)}</h2><p>{html.escape(lead)}</p>"]
    if study.complete:
        parts += _section("History", history(study))
        parts += _section("Importance", importance(study)) if study.importance else []
        parts += _section("Slices", "".join(slice_of(study, axis) for axis in study.axes))
        parts += _section("Contour", contour(study)) if len(study.axes) > 1 else []
        parts += _section("Parallel coordinates", parallel(study)) if study.axes else []
    parts += _section("Trials", table(study))
    return f'<div class="lepton-study" style="font:14px sans-serif;max-width:980px">{"".join(parts)}</div>'


def history(study: Searched) -> str:
    """Draw the value of every trial, and the best one so far as a line."""
    found = study.complete
    last = max(one.number for one, _ in found)
    x = _scale(0, max(last, 1), LEFT, WIDTH - RIGHT)
    y, frame = _values(study, WIDTH)
    so_far, points = found[0][1], []
    for one, value in found:
        so_far = max(so_far, value) if study.maximize else min(so_far, value)
        points.append(f"{x(one.number):.1f} {y(so_far):.1f}")
    steps = "M" + " L".join(points)
    dots = "".join(_dot(study, one, value, x(one.number), y(value)) for one, value in found)
    ends = _text(LEFT, HEIGHT - 18, "0") + _text(WIDTH - RIGHT, HEIGHT - 18, str(last), "end")
    title = _text(WIDTH / 2, HEIGHT - 4, "trial", "middle")
    line = f'<path d="{steps}" fill="none" stroke="#e8590c" stroke-width="2"/>'
    return _svg("history", "The best so far", WIDTH, HEIGHT, frame + ends + title + line + dots)


def importance(study: Searched) -> str:
    """Draw how much each setting matters."""
    ranked = sorted(study.importance.items(), key=lambda pair: -pair[1])
    most = max((share for _, share in ranked), default=1.0) or 1.0
    rows = []
    for place, (name, share) in enumerate(ranked):
        top = 8 + 26 * place
        width = max(1.0, (WIDTH - 260) * share / most)
        rows.append(
            f'{_text(172, top + 14, name, "end")}<rect x="180" y="{top}" width="{width:.1f}" height="18" rx="3" '
            f'fill="#1864ab"/>{_text(188 + width, top + 14, f"{share:.0%}")}'
        )
    return _svg("importance", "Importance of settings", WIDTH, 16 + 26 * len(ranked), "".join(rows))


def slice_of(study: Searched, axis: Axis) -> str:
    """Draw the values along one setting."""
    x = _scale(0.0, 1.0, LEFT, SLICE_WIDTH - RIGHT)
    y, frame = _values(study, SLICE_WIDTH)
    dots = "".join(
        _dot(study, one, value, x(share), y(value))
        for one, value in study.complete
        if (share := axis.share(one.params.get(axis.name))) is not None
    )
    low, high = axis.ends()
    ends = _text(LEFT, HEIGHT - 18, low) + _text(SLICE_WIDTH - RIGHT, HEIGHT - 18, high, "end")
    title = _text(SLICE_WIDTH / 2 + 20, HEIGHT - 4, axis.name + (" (log)" if axis.log else ""), "middle")
    return _svg("slice", f"Slice of {axis.name}", SLICE_WIDTH, HEIGHT, frame + ends + title + dots)


def contour(study: Searched) -> str:
    """Draw the two settings that matter most as a plane; between the trials its color is that of those near by."""
    ranked = sorted(study.axes, key=lambda axis: -study.importance.get(axis.name, 0.0))
    across, up = ranked[:2]
    size = HEIGHT + 120
    x, y = _scale(0.0, 1.0, LEFT, WIDTH - RIGHT), _scale(0.0, 1.0, size - BOTTOM, TOP)
    found = []
    for one, value in study.complete:
        here = across.share(one.params.get(across.name)), up.share(one.params.get(up.name))
        if here[0] is not None and here[1] is not None:
            found.append((here[0], here[1], one, value))
    if not found:
        return ""
    wide, tall = (x(1) - x(0)) / CELLS, (y(0) - y(1)) / CELLS
    cells = "".join(
        f'<rect x="{x(i / CELLS):.1f}" y="{y((j + 1) / CELLS):.1f}" width="{wide + 0.5:.1f}" height="{tall + 0.5:.1f}" '
        f'fill="{study.color(_near((i + 0.5) / CELLS, (j + 0.5) / CELLS, found))}" fill-opacity="0.75"/>'
        for i in range(CELLS)
        for j in range(CELLS)
    )
    dots = "".join(_dot(study, one, value, x(u), y(v)) for u, v, one, value in found)
    (left, right), (low, high) = across.ends(), up.ends()
    words = (
        _text(LEFT, size - 20, left) + _text(WIDTH - RIGHT, size - 20, right, "end")
        + _text(LEFT - 6, size - BOTTOM, low, "end") + _text(LEFT - 6, TOP + 10, high, "end")
        + _text(WIDTH / 2, size - 4, across.name, "middle")
        + f'<text transform="translate(14 {size / 2:.0f}) rotate(-90)" text-anchor="middle">'
        + f"{html.escape(up.name)}</text>"
    )  # fmt: skip
    return _svg("contour", f"{across.name} and {up.name}", WIDTH, size, cells + words + dots)


def parallel(study: Searched) -> str:
    """Draw every trial as a line over all settings, to its value."""
    values = [value for _, value in study.complete]
    axes = [*study.axes, Axis(study.goal, min(values), max(values), log=False)]
    x, y = _scale(0, max(len(axes) - 1, 1), LEFT, WIDTH - 60), _scale(0.0, 1.0, HEIGHT - BOTTOM, TOP + 24)
    lines = []
    ranked = sorted(study.complete, key=lambda pair: pair[1], reverse=not study.maximize)  # the best are on top
    for one, value in ranked:
        shares = [axis.share(value if axis is axes[-1] else one.params.get(axis.name)) for axis in axes]
        points = [f"{x(i):.1f} {y(share):.1f}" for i, share in enumerate(shares) if share is not None]
        lines.append(
            f'<path d="M{" L".join(points)}" fill="none" stroke="{study.color(value)}" stroke-width="1.5" '
            f'stroke-opacity="0.8">{_tip(study, one)}</path>'
        )
    bars = []
    for i, axis in enumerate(axes):
        low, high = axis.ends()
        bars.append(
            f'<path d="M{x(i):.1f} {y(0):.1f}V{y(1):.1f}" stroke="{_LINES}"/>{_text(x(i), 14, axis.name, "middle")}'
            f"{_text(x(i), HEIGHT - 20, low, 'middle')}{_text(x(i), 30, high, 'middle')}"
        )
    return _svg("parallel", "Parallel coordinates", WIDTH, HEIGHT, "".join(lines + bars))


def table(study: Searched) -> str:
    """Write the trials, the best first, as a table."""
    sign = -1 if study.maximize else 1
    ranked = sorted(study.trials, key=lambda one: (one.value is None, sign * (one.value or 0.0), one.number))
    names = [axis.name for axis in study.axes]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", "state", study.goal, *names))
    rows = "".join(
        f"<tr><td>{one.number}</td><td>{html.escape(one.state)}</td><td>{_short(one.value)}</td>"
        + "".join(f"<td>{html.escape(_short(one.params.get(name)))}</td>" for name in names)
        + "</tr>"
        for one in ranked[:MOST_ROWS]
    )
    more = "" if len(ranked) <= MOST_ROWS else f"<p>and {len(ranked) - MOST_ROWS} more</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _near(u: float, v: float, found: Sequence[tuple[float, float, Tried, float]]) -> float:
    """Return the mean of all values, weighted by the inverse square of their distance (Shepard's interpolation).

    Source: Shepard, "A two-dimensional interpolation function for irregularly-spaced data", ACM 1968.
    """
    weights = [1.0 / ((u - a) ** 2 + (v - b) ** 2 + 1e-4) for a, b, _, _ in found]
    return sum(weight * value for weight, (_, _, _, value) in zip(weights, found, strict=True)) / sum(weights)


def _values(study: Searched, width: int) -> tuple[Callable[[float], float], str]:
    """Return the scale of the values, and the frame it is read from."""
    values = [value for _, value in study.complete]
    low, high = min(values), max(values)
    y = _scale(low, high if high > low else low + 1.0, HEIGHT - BOTTOM, TOP)
    frame = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{width - RIGHT}" fill="none" stroke="{_LINES}"/>'
    return y, frame + _text(LEFT - 6, TOP + 8, _short(high), "end") + _text(
        LEFT - 6, HEIGHT - BOTTOM, _short(low), "end"
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _dot(study: Searched, one: Tried, value: float, x: float, y: float) -> str:
    best = one.number == study.best
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if best else 4}" fill="{study.color(value)}" '
        f'stroke="{"#e8590c" if best else "#fff"}">{_tip(study, one)}</circle>'
    )


def _tip(study: Searched, one: Tried) -> str:
    said = f"trial {one.number}: {study.goal} {_short(one.value)}; {_written(one.params)}"
    return f"<title>{html.escape(said)}</title>"


def _section(title: str, drawn: str) -> list[str]:
    return [f"<h3>{html.escape(title)}</h3>{drawn}"]


def _svg(kind: str, title: str, width: int, height: int, inner: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lepton-{kind}" viewBox="0 0 {width} {height}" width="{width}" '
        f'role="img" aria-label="{html.escape(title)}" style="{_STYLE}">{inner}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _written(params: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def _short(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
