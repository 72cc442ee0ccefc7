"""MLflow's language of filters and orders: ``metrics.loss < 0.1 AND params.model LIKE 'ml%'``, ``metrics.loss DESC``.

Text in, conditions on runs out; or comparisons that are tried on one thing after the other, where there are few. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lepton.core.errors import InvalidInput
from lepton.runs.filters import Condition, Kind, Operator, Order
from lepton.runs.records import RunState
from lepton.server.mlflow.words import when

Entity = Literal["metric", "param", "tag", "attribute"]
Value = str | float | tuple[str, ...] | None

STATUS = {
    RunState.QUEUED: "SCHEDULED",
    RunState.RUNNING: "RUNNING",
    RunState.SUCCEEDED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.CANCELLED: "KILLED",
}
_OURS = {"mlflow.runName": "name", "name": "tag.name", "experiment": "tag.experiment"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_ENTITIES: dict[str, Entity] = {
    "metric": "metric", "metrics": "metric",
    "param": "param", "params": "param", "parameter": "param", "parameters": "param",
    "tag": "tag", "tags": "tag",
    "attribute": "attribute", "attributes": "attribute", "attr": "attribute", "run": "attribute",
}  # fmt: skip
_LEFT = re.compile(r'\s*(?:(?P<entity>[A-Za-z]+)\.)?(?:`(?P<back>[^`]+)`|"(?P<double>[^"]+)"|(?P<bare>[\w./-]+))')
_SIGN = re.compile(r"\s*(<=|>=|!=|=|<|>|(?:not\s+)?in\b|i?like\b|is\s+not\s+null\b|is\s+null\b)", re.IGNORECASE)
_RIGHT = re.compile(
    r"""\s*(?:'(?P<single>(?:[^']|'')*)'|"(?P<double>[^"]*)"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))""",
    re.IGNORECASE,
)
_AND = re.compile(r"\s*\band\b", re.IGNORECASE)
_MOST, _LONGEST = 50, 10_000
_TEXTUAL: dict[str, Operator] = {
    "=": "=", "!=": "!=", "like": "like exactly", "ilike": "like", "in": "in", "not in": "not in",
}  # fmt: skip
_NULLS: dict[str, Operator] = {"is null": "is null", "is not null": "is not null"}
_NUMERIC: dict[str, Operator] = {"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_COLUMNS = {
    "run_id": "id", "status": "state", "user_id": "submitted_by",
    "start_time": "started_at", "created": "started_at", "Created": "started_at", "end_time": "ended_at",
}  # fmt: skip
_RUN_NAME = {"run_name", "run name", "Run name", "Run Name"}


@dataclass(frozen=True)
class Comparison:
    """One thing that must hold; `sign` is in small letters, with one blank between two words."""

    entity: Entity
    key: str
    sign: str
    value: Value


def stored_tag(key: str) -> str:
    """Return as which tag Lepton keeps one of MLflow's: two of Lepton's own mean the run's name and experiment."""
    return _OURS.get(key, key)


def shown_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags that Lepton keeps as MLflow knows them; its experiment is no tag there."""
    return {_THEIRS.get(key, key): value for key, value in tags.items() if key != "experiment"}


def parse(text: str | None) -> tuple[Comparison, ...]:
    """Read a filter; nothing is a filter without conditions.

    Raises:
        InvalidInput: if it is none; says where.
    """
    text, at = text or "", 0
    found: list[Comparison] = []
    if len(text) > _LONGEST:
        raise InvalidInput(f"The filter is too long: {_LONGEST:,} characters at most.")
    while text[at:].strip():
        if found:
            at = _match(_AND, text, at, "AND").end()
        left = _match(_LEFT, text, at, "a name such as metrics.loss")
        entity = _ENTITIES.get((left["entity"] or "attribute").lower())
        if entity is None:
            raise InvalidInput(
                f"Nothing can be looked for by {left[0].strip()[:60]!r} here. There are metrics.NAME, params.NAME, "
                "tags.NAME and attributes.NAME."
            )
        sign = _match(_SIGN, text, left.end(), "a comparison such as = or LIKE")
        word = " ".join(sign[1].lower().split())
        value, at = _value(text, sign.end(), word)
        found.append(Comparison(entity, left["back"] or left["double"] or left["bare"], word, value))
        if len(found) > _MOST:
            raise InvalidInput(f"A filter has {_MOST} conditions at most. Ask for less at once.")
    return tuple(found)


def conditions(text: str | None) -> tuple[Condition, ...]:
    """Read a filter on runs.

    Raises:
        InvalidInput: if it is none, or compares what cannot be compared.
    """
    return tuple(_condition(comparison) for comparison in parse(text))


def orders(texts: list[str]) -> tuple[Order, ...]:
    """Read what runs are sorted by.

    Raises:
        InvalidInput: if they cannot be.
    """
    found = []
    for text in texts:
        entity, key, descending = order(text)
        if entity == "attribute" and key not in _RUN_NAME:
            found.append(Order("run", _column(key), descending))
        elif entity == "attribute":
            found.append(Order("tag", "name", descending))
        else:
            kind: Kind = entity
            found.append(Order(kind, stored_tag(key) if entity == "tag" else key, descending))
    return tuple(found)


def order(text: str) -> tuple[Entity, str, bool]:
    """Read what to sort by: what, its key, and whether from the highest down.

    Raises:
        InvalidInput: if it is nothing to sort by.
    """
    match = _LEFT.match(text)
    rest = text[match.end() :].strip().lower() if match is not None else ""
    entity = _ENTITIES.get((match["entity"] or "attribute").lower()) if match is not None else None
    if match is None or entity is None or rest not in ("", "asc", "desc"):
        raise InvalidInput(f"Nothing can be sorted by {text[:60]!r}. Write for example: metrics.loss DESC")
    return entity, match["back"] or match["double"] or match["bare"], rest == "desc"


def holds(comparison: Comparison, actual: str | float | None) -> bool:
    """Whether something is as a comparison wants it; what is missing fulfils none but IS NULL."""
    sign, value = comparison.sign, comparison.value
    if sign in _NULLS or actual is None:
        return (actual is None) == (sign == "is null") if sign in _NULLS else False
    if sign in ("in", "not in"):
        return (isinstance(value, tuple) and actual in value) == (sign == "in")
    if sign in ("like", "ilike"):
        pattern = re.escape(str(value)).replace("%", ".*").replace("_", ".")
        flags = re.DOTALL | (re.IGNORECASE if sign == "ilike" else 0)
        return re.fullmatch(pattern, str(actual), flags) is not None
    if sign in ("=", "!="):
        return (actual == value) == (sign == "=")
    if not isinstance(actual, int | float) or not isinstance(value, int | float):
        raise InvalidInput(f"{comparison.key[:60]!r} is text, and text is compared with =, !=, LIKE or ILIKE.")
    below, same = actual < value, actual == value
    return {"<": below, "<=": below or same, ">": not (below or same), ">=": not below}[sign]


def _value(text: str, at: int, sign: str) -> tuple[Value, int]:
    if sign in _NULLS:
        return None, at
    if sign not in ("in", "not in"):
        match = _match(_RIGHT, text, at, "a number, or text in quotes")
        return _read(match), match.end()
    at = _match(_OPEN, text, at, "(").end()
    found: list[str] = []
    while (end := _CLOSE.match(text, at)) is None:
        if found:
            at = _match(_COMMA, text, at, "a comma or )").end()
        match = _match(_RIGHT, text, at, "text in quotes")
        found.append(str(_read(match)))
        at = match.end()
    return tuple(found), end.end()


_OPEN, _CLOSE, _COMMA = re.compile(r"\s*\("), re.compile(r"\s*\)"), re.compile(r"\s*,")


def _read(match: re.Match[str]) -> str | float:
    if match["number"] is not None:
        return float(match["number"])
    return match["double"] if match["single"] is None else match["single"].replace("''", "'")


def _match(pattern: re.Pattern[str], text: str, at: int, wanted: str) -> re.Match[str]:
    match = pattern.match(text, at)
    if match is None:
        begin = len(text) - len(text[at:].lstrip())
        raise InvalidInput(
            f"The filter is wrong at character {begin + 1}: {wanted} is expected there. Write for example: "
            "metrics.loss < 0.1 AND params.model = 'mlp'"
        )
    return match


def _condition(wanted: Comparison) -> Condition:
    if wanted.entity == "metric":
        if wanted.sign not in _NUMERIC or not isinstance(wanted.value, float):
            raise InvalidInput(f"Metric {wanted.key[:60]!r} is a number. Compare it with one, by = != < <= > or >=.")
        return Condition("metric", wanted.key, _NUMERIC[wanted.sign], wanted.value)
    if wanted.entity != "attribute":
        key = stored_tag(wanted.key) if wanted.entity == "tag" else wanted.key
        return _textual(wanted, wanted.entity, key)
    if wanted.key in _RUN_NAME:
        return _textual(wanted, "tag", "name")
    column = _column(wanted.key)
    if column in ("started_at", "ended_at"):
        if wanted.sign not in _NUMERIC or not isinstance(wanted.value, float):
            raise InvalidInput(f"{wanted.key} is a time in milliseconds. Compare it with a number.")
        return Condition("run", column, _NUMERIC[wanted.sign], _moment(wanted.value))
    if column == "state":
        fitting = tuple(state.value for state, status in STATUS.items() if holds(wanted, status))
        return Condition("run", column, "in", fitting)
    return _textual(wanted, "run", column)


def _textual(wanted: Comparison, kind: Kind, key: str) -> Condition:
    if wanted.sign in _NULLS:
        return Condition(kind, key, _NULLS[wanted.sign], "")
    if wanted.sign not in _TEXTUAL or wanted.value is None or isinstance(wanted.value, float):
        raise InvalidInput(
            f"{wanted.key[:60]!r} is text. Compare it with text in quotes, by = != LIKE ILIKE IN or NOT IN."
        )
    return Condition(kind, key, _TEXTUAL[wanted.sign], wanted.value)


def _column(key: str) -> str:
    if key not in _COLUMNS:
        raise InvalidInput(
            f"Runs have no attribute {key[:60]!r} here. There are run_id, run_name, status, start_time, end_time and "
            "user_id."
        )
    return _COLUMNS[key]


def _moment(millis: float) -> datetime:
    try:
        found = when(int(millis))
    except (OverflowError, ValueError):
        found = None
    if found is None:
        raise InvalidInput("The time in the filter is out of range. Times are milliseconds since 1970.")
    return found
