"""Moments in time as a column type; tables import it from ``database.py``."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond; naive datetimes are refused.

    SQLite has no timezones, so the moment is stored in UTC there and gets its timezone back on reading.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a moment into what the database stores."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("A naive datetime cannot be stored: its moment is unknown. Use lepton.core.clock.utc_now.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn what the database stores into a moment."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
