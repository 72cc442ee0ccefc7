"""When a schedule is due. Pure; the only place that knows the library for it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from lepton.core.errors import InvalidInput

SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
"""Words for what people want most."""


def next_time(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first moment after another at which a schedule is due, in UTC.

    Args:
        cron: Five fields as in crontab(5): minute, hour, day of the month, month, day of the week; or one of `SHORT`.
        timezone: In which they are meant, such as ``Europe/Berlin``. An hour that a change of clocks leaves out is
            made up for right after it, and one that comes twice counts once.
        after: With a time zone.

    Raises:
        InvalidInput: if one of them cannot be understood, or no such moment ever comes.
    """
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # a folder of the data base is an OSError
        raise InvalidInput(
            f"There is no time zone {timezone[:64]!r}. Name one such as 'UTC' or 'Europe/Berlin'."
        ) from None
    try:
        found = next(CronSim(_five_fields(cron), after.astimezone(zone)))
    except (CronSimError, StopIteration):
        raise InvalidInput(
            f"{cron[:100]!r} is not a schedule. Give minute, hour, day of the month, month and day of the week, such "
            f"as '30 6 * * 1-5' for half past six from Monday to Friday, or one of {', '.join(SHORT)}."
        ) from None
    return found.astimezone(UTC)


def _five_fields(cron: str) -> str:
    written = SHORT.get(cron.strip().lower(), cron)
    if len(written.split()) != 5:
        raise CronSimError("wrong number of fields")
    return written
