"""What a column is: its type in the schema and its class of sensitivity."""

from __future__ import annotations

from enum import StrEnum


class ColumnType(StrEnum):
    """The types a dataset column can have."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"


class ColumnClass(StrEnum):
    """Sensitivity; each class of a dataset version has files and a key of its own."""

    PLAIN = "plain"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105 - a class of columns
