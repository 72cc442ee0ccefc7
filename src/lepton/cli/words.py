"""Numbers, sizes and times in words, and small pictures made of characters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lepton.client.answers import Cell

_BLOCKS = "▁▂▃▄▅▆▇█"


def size(size_bytes: int) -> str:
    """Write a size: ``1.5 MB``."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """Write a duration: ``0.8 s``, ``3 min``, ``2 h 5 min``, ``4 days``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def when(time: datetime | None) -> str:
    """Write a time in the timezone of this machine."""
    return "" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def ago(time: datetime, now: datetime) -> str:
    """Write how long ago a time was: ``12 s ago``."""
    seconds = max(0.0, (now - time).total_seconds())
    return f"{seconds:.0f} s ago" if seconds < 60 else f"{duration(seconds)} ago"


def number(value: Cell) -> str:
    """Write a value shortly: four digits of a fraction, thousands apart, an empty string for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return value


def count(many: int, noun: str) -> str:
    """Write a count: ``1 row``, ``1,234 rows``."""
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {noun}s"


def share(part: int | None, whole: int) -> str:
    """Write a share in percent; an empty string for none."""
    if not part or not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:.1f}%" if percent >= 0.1 else "<0.1%"


def bars(counts: Sequence[float], width: int = 10) -> str:
    """Draw counts as bars of characters, `width` at most; an empty bin is a blank."""
    if not counts or max(counts) <= 0:
        return ""
    bins = _regroup(counts, width) if len(counts) > width else list(counts)
    top = max(bins)
    return "".join(" " if count <= 0 else _BLOCKS[min(7, int(8 * count / top))] for count in bins)


def curve(values: Sequence[float], width: int = 40) -> str:
    """Draw a curve as characters, its lowest value lowest."""
    if not values:
        return ""
    step = max(1, -(-len(values) // width))
    picked = [*values[::step]]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[min(7, int(8 * (value - low) / span))] for value in picked)


def _regroup(counts: Sequence[float], width: int) -> list[float]:
    """Put many bins into few: each goes where its middle lies."""
    bins = [0.0] * width
    for i, count in enumerate(counts):
        bins[int((i + 0.5) * width / len(counts))] += count
    return bins
