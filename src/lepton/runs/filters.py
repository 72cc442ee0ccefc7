"""The language in which runs are looked for: ``metrics.loss < 0.1 and params.model = 'mlp' and state = 'succeeded'``.

Text in, conditions out; what they mean in SQL is in ``track_rows.py``. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lepton.core.errors import InvalidInput

Kind = Literal["metric", "param", "tag", "run"]
Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "like", "like exactly", "in", "not in", "is null", "is not null",
]  # fmt: skip
"""The last five are not written in this language; whoever translates another into conditions has them."""

MAX_CONDITIONS = 20
MAX_COLUMNS = 100
_KINDS: dict[str, Kind] = {
    "metrics": "metric", "metric": "metric", "params": "param", "param": "param", "tags": "tag", "tag": "tag",
}  # fmt: skip
_COLUMNS = ("state", "task", "submitted_by")
ORDERS = ("created_at", "started_at", "ended_at", *_COLUMNS)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<field>[A-Za-z_]+(?:\.(?:`[^`]+`|"[^"]+"|[\w./-]+))?)
      | (?P<operator><=|>=|!=|==|=|<|>)
      | '(?P<text>(?:[^']|'')*)'
      | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    )""",
    re.VERBOSE,
)
_EXAMPLE = "Write for example: metrics.loss < 0.1 and params.model = 'mlp'"


@dataclass(frozen=True)
class Condition:
    """One thing that must hold.

    Attributes:
        kind: What is looked at: the newest value of a curve, a param, a tag, or a column of the run.
        key: Which one.
        operator: How it is compared.
        value: With what; a number compares as one, also with params and tags. Of ``in`` and ``not in``, all texts.
    """

    kind: Kind
    key: str
    operator: Operator
    value: str | float | datetime | tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """What runs are sorted by; those that lack it are left out."""

    kind: Kind
    key: str
    descending: bool


@dataclass(frozen=True)
class Column:
    """What a list tells of each run beside the run itself; the key ``*`` stands for all of a kind."""

    kind: Kind
    key: str


@dataclass(frozen=True)
class Search:
    """Which runs are wanted, in which order; all conditions must hold."""

    conditions: tuple[Condition, ...] = ()
    order: Order = Order("run", "created_at", descending=True)
    limit: int = 100
    offset: int = 0
    ids: tuple[str, ...] = ()
    """Only these; empty: any."""
    columns: tuple[Column, ...] = ()
    """What is told of each."""


def parse_filter(text: str) -> tuple[Condition, ...]:
    """Read a filter; an empty one has no conditions.

    Raises:
        InvalidInput: if it is none; says where.
    """
    tokens = _tokens(text)
    conditions: list[Condition] = []
    while tokens:
        if conditions:
            kind, word, at = tokens.pop(0)
            if kind != "field" or word.lower() != "and":
                raise _wrong(at, "'and'")
        if len(tokens) < 3:
            raise _wrong(len(text), "a name, a comparison and a value")
        conditions.append(_condition(tokens[:3]))
        del tokens[:3]
        if tokens and len(tokens) < 4:
            raise _wrong(tokens[0][2], "'and' and another condition, or the end")
        if len(conditions) > MAX_CONDITIONS:
            raise InvalidInput(f"A filter has {MAX_CONDITIONS} conditions at most. Ask for less at once.")
    return tuple(conditions)


def parse_order(text: str) -> Order:
    """Read what to sort by, such as ``metrics.loss`` or ``created_at desc``.

    Raises:
        InvalidInput: if it is nothing to sort by.
    """
    name, _, direction = text.strip().rpartition(" ") if re.search(r"\s(asc|desc)$", text.strip(), re.I) else (
        text.strip(), "", "asc",
    )  # fmt: skip
    match = _TOKEN.fullmatch(name.strip())
    if match is None or match["field"] is None:
        raise InvalidInput(f"Runs cannot be sorted by {text[:60]!r}. Write for example: metrics.loss desc")
    kind, key = _field(match["field"], ORDERS)
    return Order(kind, key, direction.lower() == "desc")


def parse_columns(names: Sequence[str]) -> tuple[Column, ...]:
    """Read names of columns, such as ``metrics.loss``, or ``params.*`` for all params.

    Raises:
        InvalidInput: if one is none, or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise InvalidInput(f"A list of runs has {MAX_COLUMNS} columns at most. Ask for all of a kind with: params.*")
    return tuple(_column(name) for name in names)


def _column(name: str) -> Column:
    prefix, _, key = name.partition(".")
    kind = _KINDS.get(prefix.lower())
    if kind is None or not key:
        raise InvalidInput(f"{name[:60]!r} is no column. There are metrics.NAME, params.NAME and tags.NAME.")
    return Column(kind, key.strip('`"'))


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, at = [], 0
    if len(text) > 4000:
        raise InvalidInput("The filter is too long: 4,000 characters at most.")
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise _wrong(_begin(text, at), "a name, a comparison or a value (text in single quotes)")
        kind = str(match.lastgroup)
        found.append((kind, match[kind], _begin(text, at)))
        at = match.end()
    return found


def _condition(tokens: list[tuple[str, str, int]]) -> Condition:
    (kind, name, at), (is_operator, sign, sign_at), (is_value, value, value_at) = tokens
    if kind != "field":
        raise _wrong(at, "a name such as metrics.loss")
    what, key = _field(name, _COLUMNS)
    if is_operator == "operator":
        operator: Operator = "=" if sign == "==" else sign  # type: ignore[assignment]
    elif sign.lower() == "like":
        operator = "like"
    else:
        raise _wrong(sign_at, "one of = != < <= > >= like")
    if is_value not in ("text", "number"):
        raise _wrong(value_at, "a number, or text in single quotes")
    number = is_value == "number"
    if what == "metric" and (not number or operator == "like"):
        raise _wrong(value_at, "a number, as a metric is one")
    if not number and operator not in ("=", "!=", "like"):
        raise _wrong(value_at, f"a number after {operator}")
    if number and (operator == "like" or what == "run"):
        raise _wrong(value_at, "text in single quotes")
    return Condition(what, key, operator, float(value) if number else value.replace("''", "'"))


def _field(name: str, columns: tuple[str, ...]) -> tuple[Kind, str]:
    prefix, dot, key = name.partition(".")
    if dot and prefix.lower() in _KINDS:
        return _KINDS[prefix.lower()], key.strip('`"')
    if not dot and name in columns:
        return "run", name
    raise InvalidInput(
        f"{name[:60]!r} is not known here. There are metrics.NAME, params.NAME, tags.NAME, {', '.join(columns)}."
    )


def _begin(text: str, at: int) -> int:
    """Where the next word begins."""
    return len(text) - len(text[at:].lstrip())


def _wrong(at: int, wanted: str) -> InvalidInput:
    return InvalidInput(f"The filter is wrong at character {at + 1}: {wanted} is expected there. {_EXAMPLE}")
