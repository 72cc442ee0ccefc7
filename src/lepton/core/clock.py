"""The time, as a thing that can be passed in, so that no test has to wait for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns now, in UTC, with its timezone set."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
