"""Where the commands write: a console on which somebody's data stays text and never commands the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_COMMANDS = dict.fromkeys([*(code for code in range(0x20) if chr(code) not in "\t\n"), *range(0x7F, 0xA0)])


class Screen(Console):
    """A console that drops control characters out of what it is given; colors of its own are added later."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as Rich does, without the characters a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(segment.text.translate(_COMMANDS), segment.style)
