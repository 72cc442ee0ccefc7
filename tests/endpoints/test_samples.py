"""The request log: few requests, never a value that not everybody may read, each kept once."""

from __future__ import annotations

import json

import numpy as np

from lepton.core.columns import ColumnClass, ColumnType
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.reports import Report, decode, encode
from lepton.endpoints.replica.samples import KEPT, MOST_A_SECOND, MOST_COLUMNS, Samples
from lepton.endpoints.request_log import Fresh, LoggedRequest
from lepton.models.signature import PREDICTION, Input, Signature, Task


def signature(target_class: ColumnClass = ColumnClass.PLAIN) -> Signature:
    columns = (
        Input("city", ColumnType.TEXT, values=("Bern",)),
        Input("age", ColumnType.INTEGER, ColumnClass.PERSONAL),
        Input("area", ColumnType.NUMBER),
        Input("name", ColumnType.TEXT, ColumnClass.SECRET),
        Input("new", ColumnType.BOOLEAN),
    )
    return Signature(Task.REGRESSION, "price", ColumnType.NUMBER, columns, target_class=target_class)


INPUTS = Inputs(2, np.array([[44.0, 81.5, 1.0], [45.0, np.nan, 0.0]]).tobytes(), [["Bern", "Rom"], ["Ida", "Max"]])


def outputs(of: Signature) -> Outputs:
    return Outputs(of, {PREDICTION: np.array([1.0, 7.5, 2.0])})


def test_values_of_personal_and_secret_columns_are_not_taken() -> None:
    kept = Samples(signature(), 1)
    kept.note(INPUTS, outputs(signature()), 1, 0.002)
    (sample,) = kept.told()
    assert sample["row"] == {"city": "Bern", "area": 81.5, "new": True}
    assert (sample["answer"], sample["rows"], sample["masked"]) == (7.5, 2, ["age", "name"])
    assert "44" not in json.dumps(sample["row"])
    assert "Ida" not in json.dumps(sample)


def test_an_integer_that_a_float_cannot_hold_exactly_is_told_as_a_float() -> None:
    of = Signature(Task.REGRESSION, "price", ColumnType.NUMBER, (Input("n", ColumnType.INTEGER),))
    kept = Samples(of, 1)
    for value in (-7.0, 1e300):
        kept.note(Inputs(1, np.array([value]).tobytes()), outputs(of), 0, 0.002)
    (report,) = decode(encode([Report("size", "m@1", Counts(), samples=kept.told())]))
    assert [sample["row"]["n"] for sample in report.samples] == [-7, 1e300]


def test_of_a_wide_row_the_first_columns_are_taken() -> None:
    wide = Signature(
        Task.REGRESSION, "price", ColumnType.NUMBER, tuple(Input(f"x{n}", ColumnType.NUMBER) for n in range(2000))
    )
    kept = Samples(wide, 1)
    kept.note(Inputs(1, np.arange(2000.0).tobytes()), outputs(wide), 0, 0.002)
    assert kept.told()[0]["row"] == {f"x{n}": float(n) for n in range(MOST_COLUMNS)}


def test_an_answer_that_not_everybody_may_read_is_not_taken() -> None:
    personal = signature(ColumnClass.PERSONAL)
    kept = Samples(personal, 1)
    kept.note(INPUTS, outputs(personal), 1, 0.002)
    assert (kept.told()[0]["answer"], kept.told()[0]["masked"]) == (None, ["age", "name", "price"])


def test_one_in_so_many_is_kept_and_a_handful_a_second() -> None:
    clock = [0.0]
    kept = Samples(signature(), 1, clock=lambda: clock[0])
    for _ in range(100):
        kept.note(INPUTS, outputs(signature()), 0, 0.002)
    assert len(kept.told()) == MOST_A_SECOND
    seen: set[str] = set()
    one_in_ten = Samples(signature(), 10, clock=lambda: clock[0])
    for second in range(1, 2001):  # one request a second: nothing is held back
        clock[0] = float(second)
        one_in_ten.note(INPUTS, outputs(signature()), 0, 0.002)
        seen.update(sample["id"] for sample in one_in_ten.told())
    assert 140 <= len(seen) <= 260  # 200 expected; far beyond what 200 waits of 1 to 19 add up to by chance
    none = Samples(signature(), 0)
    none.note(INPUTS, outputs(signature()), 0, 0.002)
    assert none.told() == []


def test_a_sample_that_is_told_several_times_is_kept_once() -> None:
    kept, fresh = Samples(signature(), 1), Fresh()
    found: dict[str, bytes] = {}
    for _ in range(3):
        kept.note(INPUTS, outputs(signature()), 0, 0.002)
        new = fresh.to_keep([Report("e", "m@1", Counts(), samples=kept.told())])
        assert not found.keys() & new.keys()
        found |= new
    assert len(found) == 3 <= KEPT
    read = LoggedRequest.from_json(next(iter(found.values())))
    assert (read.model, read.rows, read.answer, read.masked) == ("m@1", 2, 1.0, ("age", "name"))
