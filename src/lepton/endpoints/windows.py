"""What predictions are compared with and how they are counted: references of columns, and windows of live rows.

A window holds counts in the reference's own bins and no value, has a fixed size, and windows add up. Runs beside
predictions, so it needs NumPy alone. What the counts mean is in `drift.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    from lepton.datasets.profile import ColumnProfile

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MAX_EDGES = 127
"""Most edges of a column: binary search over them takes seven steps."""
_TAIL = (0.0005, 0.001, 0.0025, 0.005)
_LEVELS = np.unique([*_TAIL, *np.linspace(0, 1, 101), *(1 - level for level in _TAIL)])
"""Percentiles, and more where the tails are long."""
TOP_VALUES = 10
"""Texts told apart, as many as a profile counts; more groups would need more rows to tell drift from chance."""


@dataclass(frozen=True)
class NumberReference:
    """The training values of a column of numbers, or of booleans as 0 and 1.

    Attributes:
        name: Name of the column.
        edges: Ascending. Cell i holds the values above edge i-1 and up to edge i; the first edge is just below the
            least value and the last is the greatest, so the outermost cells hold what training has not seen.
        shares: Share of the present values in each of the len(edges) + 1 cells.
        rows: Rows of the dataset.
        missing: Rows without a value.
        is_stepped: Whether the edges are all the values there are, rather than marks among more of them.
    """

    name: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int
    missing: int
    is_stepped: bool = False


@dataclass(frozen=True)
class TextReference:
    """The training values of a column of text.

    Attributes:
        name: Name of the column.
        values: Its most frequent values.
        shares: Share of the present values that are each of these, and last of all others.
        known: All its values, as far as they are known; None if it is not told apart what training has seen.
        rows: Rows of the dataset.
        missing: Rows without a value.
    """

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    known: tuple[str, ...] | None
    rows: int
    missing: int


@dataclass(frozen=True)
class Reference:
    """The columns of a model, numbers and texts each in the order in which rows bring them."""

    numbers: tuple[NumberReference, ...] = ()
    texts: tuple[TextReference, ...] = ()

    def to_json(self) -> bytes:
        """Write as JSON. It tells of values: seal it like the profile it comes from."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Reference:
        """Read what `to_json` wrote."""
        read: dict[str, list[dict[str, Any]]] = json.loads(data)

        def fields(one: Mapping[str, Any]) -> dict[str, Any]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}

        return cls(
            tuple(NumberReference(**fields(one)) for one in read["numbers"]),
            tuple(TextReference(**fields(one)) for one in read["texts"]),
        )

    @cached_property
    def digest(self) -> str:
        """Tells references apart: windows of different ones do not add up."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def _tables(self) -> tuple[Floats, Floats, Floats, list[dict[str, int]]]:
        edges = np.full((len(self.numbers), MAX_EDGES), np.inf)
        for row, number in zip(edges, self.numbers, strict=True):
            row[: len(number.edges)] = number.edges
        low = np.array([n.edges[1] if len(n.edges) > 1 else np.nan for n in self.numbers])
        high = np.array([n.edges[-1] if len(n.edges) > 1 else np.nan for n in self.numbers])
        places = []
        for text in self.texts:
            other = len(text.values)
            place = dict.fromkeys(text.known or (), other)
            places.append(place | {value: index for index, value in enumerate(text.values)} | {"": other + 2})
        return edges.ravel(), low, high, places


@dataclass(eq=False)
class Window:
    """Live rows, counted in the cells of a reference; add rows in batches, as one call costs much more than one row.

    Attributes:
        rows: Rows counted.
        numbers: int64 [k, MAX_EDGES + 2]: rows in each cell of each column of numbers; last those without a value.
        texts: For each column of text int64 [m + 3]: rows with each of its m values, with others, with unseen ones,
            and without one.
        below: float64 [k]: how far values lie below the least of training, added up.
        above: float64 [k]: how far values lie above the greatest of training, added up.
    """

    reference: Reference
    rows: int = 0
    numbers: Counts = field(init=False)
    texts: list[Counts] = field(init=False)
    below: Floats = field(init=False)
    above: Floats = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.reference.numbers)
        self.numbers = np.zeros((count, MAX_EDGES + 2), dtype=np.int64)
        self.texts = [np.zeros(len(text.values) + 3, dtype=np.int64) for text in self.reference.texts]
        self.below, self.above = np.zeros(count), np.zeros(count)

    def add(self, numbers: Floats, texts: Sequence[Sequence[str]] = ()) -> None:
        """Count rows.

        Args:
            numbers: float64 [N, k], finite, NaN for missing; with no columns of numbers [N, 0].
            texts: For each column of text N values, "" for missing.
        """
        self.rows += len(numbers)
        edges, low, high, places = self.reference._tables
        if numbers.shape[1]:
            self._add_numbers(numbers, edges, low, high)
        for counts, place, column in zip(self.texts, places, texts, strict=True):
            unseen = len(counts) - 2
            found = [place.get(value, unseen) for value in column]
            np.add(counts, np.bincount(found, minlength=len(counts)), out=counts)

    def _add_numbers(self, numbers: Floats, edges: Floats, low: Floats, high: Floats) -> None:
        columns = numbers.shape[1]
        starts = np.arange(columns) * MAX_EDGES
        # For all values at once: how many edges of its column lie below it. NaN is below none.
        cells = np.zeros(numbers.shape, dtype=np.int64)
        step = (MAX_EDGES + 1) // 2
        while step:
            cells += step * (edges[starts + cells + (step - 1)] < numbers)
            step //= 2
        missing = np.isnan(numbers)
        cells[missing] = MAX_EDGES + 1
        width = MAX_EDGES + 2
        flat = np.bincount((cells + np.arange(columns) * width).ravel(), minlength=columns * width)
        self.numbers += flat.reshape(columns, width)
        with np.errstate(over="ignore"):  # numbers near 1e308
            self.below += np.nansum(np.maximum(low - numbers, 0.0), axis=0)
            self.above += np.nansum(np.maximum(numbers - high, 0.0), axis=0)

    def merge(self, other: Window) -> None:
        """Add the rows of another window of the same reference.

        Raises:
            InvalidInput: if it is a window of another reference.
        """
        if other.reference.digest != self.reference.digest:
            raise InvalidInput("The windows count by different references. Merge windows of one deployment only.")
        self.rows += other.rows
        self.numbers += other.numbers
        for mine, theirs in zip(self.texts, other.texts, strict=True):
            np.add(mine, theirs, out=mine)
        self.below += other.below
        self.above += other.above

    def since(self, before: Window) -> Window:
        """Return the rows that came after `before`, an earlier state of the same window."""
        later = Window(self.reference, self.rows - before.rows)
        later.numbers = self.numbers - before.numbers
        later.texts = [mine - theirs for mine, theirs in zip(self.texts, before.texts, strict=True)]
        later.below, later.above = self.below - before.below, self.above - before.above
        return later

    def to_json(self) -> bytes:
        """Write as JSON; `from_json` reads it back."""
        values = {
            "reference": self.reference.digest,
            "rows": self.rows,
            "numbers": self.numbers,
            "texts": self.texts,
            "below": np.nan_to_num(self.below),  # JSON has no infinity, which numbers near 1e308 add up to
            "above": np.nan_to_num(self.above),
        }
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def from_json(cls, data: bytes, reference: Reference) -> Window:
        """Read what `to_json` wrote.

        Raises:
            InvalidInput: if it was written for another reference.
        """
        read = orjson.loads(data)
        if read["reference"] != reference.digest:
            raise InvalidInput("The window counts by another reference. Read it with the one of its deployment.")
        window = cls(reference, read["rows"])
        window.numbers = np.array(read["numbers"], dtype=np.int64).reshape(window.numbers.shape)
        window.texts = [np.array(counts, dtype=np.int64) for counts in read["texts"]]
        window.below, window.above = np.array(read["below"]), np.array(read["above"])
        return window


def number_reference(name: str, values: Floats) -> NumberReference:
    """Make the exact reference of values, float64 [N] with NaN for missing."""
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if not len(present):
        return NumberReference(name, (), (1.0,), len(values), missing)
    values_there = np.unique(present)
    is_stepped = len(values_there) <= len(_LEVELS)
    # Values that exist, not interpolated ones: a value that many rows share is then an edge of its own.
    inner = values_there if is_stepped else np.unique(np.quantile(present, _LEVELS, method="inverted_cdf"))
    edges = np.concatenate([[np.nextafter(inner[0], -np.inf)], inner])
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    shares = tuple((counts / len(present)).tolist())
    return NumberReference(name, tuple(edges.tolist()), shares, len(values), missing, is_stepped)


def text_reference(name: str, values: Sequence[str]) -> TextReference:
    """Make the exact reference of texts, "" for missing; the `TOP_VALUES` most frequent are told apart."""
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    known = sorted(counts, key=lambda value: (-counts[value], value))
    present = sum(counts.values())
    return _text(name, known[:TOP_VALUES], [counts[v] for v in known[:TOP_VALUES]], known, present, len(values))


def profiled_reference(profile: ColumnProfile, rows: int, known: Sequence[str] | None = None) -> (
    NumberReference | TextReference
):  # fmt: skip
    """Make the reference of a column from its profile.

    With up to ten different values it is exact, as the profile counts them all. Of other numbers the profile knows
    percentiles: the share of values up to an edge is then right within 0.01.

    Args:
        profile: Of the column in the dataset the model was trained on; not masked.
        rows: Rows of that dataset.
        known: All values of a text column that the model knows.

    Raises:
        InvalidInput: if the column holds dates, or its profile is hidden from the reader.
    """
    missing = profile.nulls
    if missing is None or profile.type in (ColumnType.DATE, ColumnType.DATETIME):
        raise InvalidInput(f"Column {profile.name!r} has no statistics to compare with. Leave it out.")
    present = rows - missing
    top = profile.top_values or ()
    if profile.type is ColumnType.TEXT:
        values, counts = [str(value.value) for value in top], [value.count for value in top]
        return _text(profile.name, values, counts, known, present, rows)
    if present and sum(value.count for value in top) == present:
        pairs = sorted((float(value.value), value.count) for value in top)
        edges = (float(np.nextafter(pairs[0][0], -np.inf)), *(value for value, _ in pairs))
        shares = (0.0, *(count / present for _, count in pairs), 0.0)
        return NumberReference(profile.name, edges, shares, rows, missing, is_stepped=True)
    return _from_percentiles(profile, rows, missing)


def _from_percentiles(profile: ColumnProfile, rows: int, missing: int) -> NumberReference:
    if not profile.reference:
        return NumberReference(profile.name, (), (1.0,), rows, missing)
    inner, times = np.unique(np.array(profile.reference), return_counts=True)
    below = (np.cumsum(times) - 1) / 100  # the highest level that is at this value
    # Where rows share values the true share lies between that level and the next, so the middle is the best guess.
    is_shared = (times > 1) | (profile.type is ColumnType.INTEGER)
    below = np.where(is_shared & (below < 1), below + 0.005, below)
    edges = (float(np.nextafter(inner[0], -np.inf)), *inner.tolist())
    return NumberReference(profile.name, edges, (0.0, *np.diff(below, prepend=0).tolist(), 0.0), rows, missing)


def _text(
    name: str, values: Sequence[str], counts: Sequence[int], known: Sequence[str] | None, present: int, rows: int
) -> TextReference:  # fmt: skip
    total = max(present, 1)
    shares = [count / total for count in counts]
    rest = max(0.0, (present - sum(counts)) / total)
    return TextReference(
        name, tuple(values), (*shares, rest), None if known is None else tuple(known), rows, rows - present
    )
