"""The loss at each pass as a drawing that moves: SVG and CSS alone, so a notebook shows it without a network."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 34, 40
MOST_POINTS = 400
DURATION_S = 4.0


@dataclass(frozen=True)
class Curve:
    """A loss curve.

    Args:
        losses: the loss at each pass over the rows, from the first.
        title: what was fitted.
    """

    losses: tuple[float, ...]
    title: str

    def to_svg(self) -> str:
        """Return the drawing as SVG: the line draws itself once; who asked for less motion sees it whole at once."""
        points = self._points()
        path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
        low, high = min(self.losses), max(self.losses)
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        said = f"{html.escape(self.title)}: loss {self.losses[0]:.4g} at pass 1, {self.losses[-1]:.4g} at pass "
        said += str(len(self.losses))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
            f'style="max-width:100%;font:12px sans-serif;background:#fff"><title>{said}</title><style>{_STYLE}</style>'
            f'<text x="{LEFT}" y="20">{said}</text>'
            f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#888"/>'
            f'<text x="{LEFT - 8}" y="{TOP + 4}" text-anchor="end">{high:.4g}</text>'
            f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">{low:.4g}</text>'
            f'<text x="{LEFT}" y="{bottom + 18}">1</text>'
            f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{len(self.losses)}</text>'
            f'<text x="{(LEFT + right) / 2}" y="{bottom + 32}" text-anchor="middle">passes over the rows</text>'
            f'<path class="lepton-loss" d="{path}" pathLength="1" fill="none" stroke="#1864ab" stroke-width="2"/>'
            f'<circle class="lepton-ball" r="5" fill="#e8590c" style="offset-path:path(\'{path}\')"/></svg>'
        )

    def to_html(self) -> str:
        """Return a page of its own with the drawing."""
        title = html.escape(self.title)
        return f'<!doctype html><meta charset="utf-8"><title>{title}</title><body>{self.to_svg()}</body>'

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        """Return the drawing for a notebook."""
        return self.to_svg()

    def _points(self) -> list[tuple[float, float]]:
        """Return places of at most 400 passes, evenly spread; on a logarithmic scale where the loss falls far."""
        last = len(self.losses) - 1
        step = max(1, math.ceil(last / MOST_POINTS))
        chosen = sorted({*range(0, last + 1, step), last})
        low, high = min(self.losses), max(self.losses)
        far = low > 0 and high > 100 * low
        heights = [math.log(loss) if far else loss for loss in self.losses]
        bottom, span = min(heights), max(heights) - min(heights) or 1.0
        return [
            (
                LEFT + (WIDTH - LEFT - RIGHT) * i / max(last, 1),
                HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (heights[i] - bottom) / span,
            )
            for i in chosen
        ]


_STYLE = (
    ".lepton-loss{stroke-dasharray:1;stroke-dashoffset:0}.lepton-ball{offset-distance:100%}"
    "@media (prefers-reduced-motion:no-preference){"
    f".lepton-loss{{animation:lepton-draw {DURATION_S}s ease-out}}"
    f".lepton-ball{{animation:lepton-roll {DURATION_S}s ease-out}}}}"
    "@keyframes lepton-draw{from{stroke-dashoffset:1}}@keyframes lepton-roll{from{offset-distance:0%}}"
)
