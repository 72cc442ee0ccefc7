"""Drift is followed: counted beside predictions, added up over workers, judged by the last hour, kept over restarts."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.columns import ColumnClass, ColumnType
from lepton.datasets.profile import profile_columns
from lepton.datasets.schema import Column
from lepton.endpoints.drift import Level
from lepton.endpoints.drifting import HORIZON_S, Drifting, DriftReport, added_up, joined, told_of
from lepton.endpoints.references import reference_of
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.live import MOST_CHARACTERS, MOST_ROWS, MOST_VALUES, Live
from lepton.endpoints.windows import Reference, Window, number_reference, text_reference
from lepton.models.records import TrainingProfile
from lepton.models.signature import Input, Signature, Task

RANDOM = np.random.default_rng(0)
TRAINED = RANDOM.normal(0, 1, 5000)
REFERENCE = Reference((number_reference("x", TRAINED),), (text_reference("city", ["Rome", "Oslo"] * 50),))


def inputs(values: list[float], city: str = "Rome") -> Inputs:
    return Inputs(len(values), np.array(values, dtype=np.float64).tobytes(), [[city] * len(values)])


def told(values: np.ndarray, seen: int | None = None, city: str = "Rome") -> str:
    window = Window(REFERENCE)
    window.add(values.reshape(-1, 1), [[city, "Oslo"] * (len(values) // 2)])
    return told_of(window, len(values) if seen is None else seen)


def test_rows_are_counted_from_the_timer_and_not_before() -> None:
    live = Live(REFERENCE)
    live.note(inputs([0.5, 1.5]))
    live.note(inputs([-0.5], "Atlantis"))
    assert (live.window.rows, live.seen) == (0, 3)
    live.count()
    assert live.window.rows == 3
    assert live.window.texts[0].tolist() == [0, 2, 0, 1, 0]  # Oslo, Rome, others, unseen, missing
    assert json.loads(live.told())["seen"] == 3
    assert live.told() is live.told()


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_more_rows_than_are_counted_at_a_time_are_thinned_and_that_is_told(sizes: list[int]) -> None:
    live = Live(REFERENCE)
    for size in sizes:
        live.note(inputs([0.0] * size))
    live.count()
    window, seen = added_up([live.told()], REFERENCE)
    assert seen == sum(sizes)
    assert window.rows <= MOST_ROWS
    if seen <= MOST_ROWS:
        assert window.rows == seen
    assert int(window.numbers.sum()) == int(window.texts[0].sum()) == window.rows


def test_of_a_wide_table_fewer_rows_are_counted_at_a_time() -> None:
    columns = 400
    wide = Reference(tuple(number_reference(f"x{n}", TRAINED[:50]) for n in range(columns)), ())
    live = Live(wide)
    for _ in range(100):
        live.note(Inputs(2, np.zeros(2 * columns).tobytes(), []))
    live.count()
    assert live.seen == 200
    assert 0 < live.window.rows * columns <= MOST_VALUES


def test_numbers_that_add_up_to_infinity_are_told() -> None:
    live = Live(REFERENCE)
    for value in (-1.7e308, 1.7e308):
        live.note(inputs([value] * 5))
    live.count()
    window, seen = added_up([live.told()], REFERENCE)
    assert (seen, window.rows) == (10, 10)
    assert np.isfinite([window.below, window.above]).all()


def test_long_texts_are_left_out_rather_than_held() -> None:
    live = Live(REFERENCE)
    live.note(inputs([0.0], "x" * (MOST_CHARACTERS + 1)))
    live.note(inputs([0.0], "Rome"))
    live.count()
    assert (live.seen, live.window.rows) == (2, 1)


def test_no_view_keeps_the_body_of_a_request() -> None:
    live = Live(REFERENCE)
    body = bytearray(np.zeros(1).tobytes())
    live.note(Inputs(1, memoryview(body), [["Rome"]]))
    body.clear()  # fails while anything looks into it
    live.count()
    assert live.window.rows == 1


def test_one_request_of_many_rows_in_order_is_not_counted_by_its_first_rows() -> None:
    live = Live(REFERENCE)
    live.note(inputs(sorted(TRAINED.tolist())))
    live.count()
    drifting = Drifting(REFERENCE)
    drifting.look([live.told()], 0.0)
    assert drifting.report is not None
    assert drifting.report.columns[0].level is Level.STABLE


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_documents_that_are_joined_say_the_same(sizes: list[int]) -> None:
    documents = [told(TRAINED[: 2 * size], seen=3 * size) for size in sizes]
    one = joined(documents)
    assert len(one) == 1
    assert joined(one) == one
    assert [(w.rows, s, w.to_json()) for w, s in [added_up(one, REFERENCE)]] == [
        (w.rows, s, w.to_json()) for w, s in [added_up(documents, REFERENCE)]
    ]


def test_windows_of_another_reference_are_left_out() -> None:
    other = Reference((number_reference("x", TRAINED + 1),), REFERENCE.texts)
    assert added_up([told(TRAINED)], other)[0].rows == 0
    assert not Drifting(other).look([told(TRAINED)], 0.0)


def test_levels_follow_the_last_hour_and_the_rest_is_still_told() -> None:
    drifting = Drifting(REFERENCE)
    drifted = TRAINED + 2.0
    windows = [told(drifted)]
    assert drifting.look(windows, 0.0)
    assert drifting.level is Level.MAJOR
    for step in range(1, 30):  # from now on rows are as in training
        windows.append(told(RANDOM.normal(0, 1, 1000)))
        assert drifting.look(windows, step * 300.0)
        assert drifting.report is not None
        if step * 300.0 < HORIZON_S:
            assert drifting.level is Level.MAJOR
    assert drifting.level is Level.STABLE
    column = drifting.report.columns[0]
    assert column.last_hour is not None
    assert column.deployed is not None
    assert column.last_hour.psi < 0.02 < column.deployed.psi
    assert drifting.report.counted == 34_000
    assert 12_000 <= drifting.report.rows <= 13_000


def test_a_worker_that_was_forgotten_makes_no_negative_rows() -> None:
    drifting = Drifting(REFERENCE)
    for step in range(20):
        drifting.look([told(TRAINED), told(TRAINED)], step * 300.0)
    drifting.look([told(TRAINED)], 20 * 300.0)
    assert drifting.report is not None
    assert drifting.report.rows == 5000


def test_a_report_is_read_back_and_levels_go_on_from_it() -> None:
    drifting = Drifting(REFERENCE)
    drifting.look([told(TRAINED + 0.35)], 0.0)
    assert drifting.report is not None
    before = drifting.report
    read = DriftReport.from_json(before.to_json())
    assert read == before
    assert drifting.level is Level.MODERATE
    again = Drifting(REFERENCE, read)
    assert again.level is Level.MODERATE
    again.look([told(TRAINED[:100])], 60.0)  # too few rows to change anything
    assert again.level is Level.MODERATE


def test_numbers_are_shown_of_readable_columns_only_and_levels_of_all() -> None:
    drifting = Drifting(REFERENCE)
    drifting.look([told(TRAINED + 2.0)], 0.0)
    assert drifting.report is not None
    masked = drifting.report.of(frozenset({"city"}))
    number, text = masked.columns
    assert (number.last_hour, number.deployed, number.level) == (None, None, Level.MAJOR)
    assert text.last_hour is not None


def test_a_model_is_compared_with_the_profile_of_what_it_learned_from() -> None:
    frame = pl.DataFrame({"x": TRAINED, "city": ["Rome", "Oslo"] * 2500, "flag": [True, False] * 2500})
    types = {"x": ColumnType.NUMBER, "city": ColumnType.TEXT, "flag": ColumnType.BOOLEAN}
    columns = tuple(Column(name, kind, ColumnClass.PLAIN) for name, kind in types.items())
    profile = TrainingProfile(frame.height, profile_columns(columns, lambda name: frame[name]))
    taken = [Input("city", ColumnType.TEXT, values=("Oslo", "Rome")), Input("flag", ColumnType.BOOLEAN)]
    taken += [Input("x", ColumnType.NUMBER), Input("new", ColumnType.NUMBER), Input("said", ColumnType.TEXT)]
    signature = Signature(Task.REGRESSION, "y", ColumnType.NUMBER, tuple(taken))
    reference = reference_of(signature, profile)
    assert [one.name for one in reference.numbers] == ["flag", "x", "new"]
    assert [one.name for one in reference.texts] == ["city", "said"]
    window = Window(reference)
    window.add(np.column_stack([frame["flag"], TRAINED, TRAINED]).astype(float), [frame["city"].to_list(), [""] * 5000])
    drifting = Drifting(reference)
    assert drifting.look([told_of(window, 5000)], 0.0)
    assert drifting.report is not None
    assert {column.name: column.level for column in drifting.report.columns} == dict.fromkeys(
        ["flag", "x", "city"], Level.STABLE
    )  # what has no statistics is not compared
    assert max(column.last_hour.psi for column in drifting.report.columns if column.last_hour) == pytest.approx(
        0, abs=0.01
    )
