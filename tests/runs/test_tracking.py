"""Runs recorded from outside: batches are kept once and whole, curves add up, silence ends them."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs.small_platform import Platform

from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from lepton.core.ids import new_id
from lepton.runs import track_rows
from lepton.runs.batch import Batch, Columns, decode
from lepton.runs.points import Points, extended, pack, unpack
from lepton.runs.records import RunState

ANN = Actor("ann-id", "ann", {"default": Role.EDITOR})
EVE = Actor("eve-id", "eve", {"default": Role.VIEWER})
STRANGER = Actor("sam-id", "sam", {"lab": Role.OWNER})


@pytest.fixture
def run_id(platform: Platform) -> str:
    return platform.runs.create(ANN, params={"lr": "0.1"}, tags={"name": "first"}).id


def batch(number: int, *values: float | None, key: str = "loss", client: str = "me", **more: Any) -> Batch:
    steps = list(range((number - 1) * 100, (number - 1) * 100 + len(values)))
    curves = [Columns(key, steps, [1_000_000 * s for s in steps], list(values))] if values else []
    return Batch(client=client, batch=number, curves=curves, **more)


def audited(platform: Platform, action: str) -> int:
    with platform.database.read() as tx:
        return sum(row.action == action for row in tx.exec_driver_sql("SELECT action FROM audit"))


def test_what_a_run_tells_is_read_back(platform: Platform, run_id: str) -> None:
    platform.runs.track(ANN, run_id, batch(1, 3.0, 1.0, 2.0, params={"model": "mlp"}, tags={"host": "a"}))
    tracked = platform.runs.tracked(EVE, run_id)
    assert tracked.params == {"lr": "0.1", "model": "mlp"}
    assert tracked.tags == {"name": "first", "host": "a"}
    (loss,) = tracked.metrics
    assert (loss.last_value, loss.last_step, loss.min_value, loss.max_value, loss.points) == (2.0, 2, 1.0, 3.0, 3)
    assert [(p.step, p.value) for p in platform.runs.metrics(EVE, run_id)] == [(0, 3.0), (1, 1.0), (2, 2.0)]


def test_a_batch_that_comes_again_changes_nothing(platform: Platform, run_id: str) -> None:
    assert platform.runs.track(ANN, run_id, batch(1, 1.0)).is_new
    assert platform.runs.track(ANN, run_id, batch(2, 2.0)).is_new
    for number in (1, 2):
        receipt = platform.runs.track(ANN, run_id, batch(number, 9.0, params={"lr": "9"}))
        assert (receipt.is_new, receipt.state) == (False, RunState.RUNNING)
    assert [p.value for p in platform.runs.metrics(ANN, run_id)] == [1.0, 2.0]
    assert platform.runs.tracked(ANN, run_id).params == {"lr": "0.1"}
    assert platform.runs.track(ANN, run_id, batch(1, 3.0, client="another")).is_new


def test_a_batch_that_fails_is_not_half_kept(platform: Platform, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(track_rows, "set_fields", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            platform.runs.track(ANN, run_id, batch(1, 1.0))
    assert platform.runs.metrics(ANN, run_id) == []
    assert platform.runs.track(ANN, run_id, batch(1, 1.0)).is_new
    assert len(platform.runs.metrics(ANN, run_id)) == 1


def test_points_of_many_batches_come_back_in_order_whatever_their_sizes(platform: Platform, run_id: str) -> None:
    sizes = [1, 63, 1, 64, 65, 5, 0, 100, 2]
    for number, size in enumerate(sizes, start=1):
        platform.runs.track(ANN, run_id, batch(number, *[float(i) for i in range(size)]))
    wanted = [((number - 1) * 100 + i, float(i)) for number, size in enumerate(sizes, start=1) for i in range(size)]
    assert [(p.step, p.value) for p in platform.runs.metrics(ANN, run_id)] == wanted
    assert platform.runs.tracked(ANN, run_id).metrics[0].points == sum(sizes)


def test_writers_at_the_same_time_lose_nothing(platform: Platform, run_id: str) -> None:
    def write(client: str) -> None:
        for number in range(1, 21):
            platform.runs.track(ANN, run_id, batch(number, 1.0, 2.0, 3.0, client=client))

    threads = [threading.Thread(target=write, args=(f"c{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platform.runs.metrics(ANN, run_id)) == 4 * 20 * 3
    assert platform.runs.tracked(ANN, run_id).metrics[0].points == 4 * 20 * 3


def test_values_that_are_not_finite_are_points_without_a_value(platform: Platform, run_id: str) -> None:
    platform.runs.track(ANN, run_id, batch(1, math.inf, None, math.nan, 5.0, -math.inf))
    assert [math.isnan(p.value) for p in platform.runs.metrics(ANN, run_id)] == [True, True, True, False, True]
    (loss,) = platform.runs.tracked(ANN, run_id).metrics
    assert (loss.last_value, loss.min_value, loss.max_value) == (None, 5.0, 5.0)


def test_the_audit_log_has_a_line_for_each_client_and_person_not_for_each_batch(
    platform: Platform, run_id: str
) -> None:
    bo = Actor("bo-id", "bo", {"default": Role.EDITOR})
    for number in range(1, 6):
        platform.runs.track(ANN, run_id, batch(number, 1.0))
    assert audited(platform, "runs.track") == 1
    platform.runs.track(ANN, run_id, batch(1, 1.0, client="other"))
    platform.runs.track(bo, run_id, batch(6, 1.0))
    assert audited(platform, "runs.track") == 3


def test_viewers_do_not_write_and_strangers_see_no_run(platform: Platform, run_id: str) -> None:
    platform.runs.track(ANN, run_id, batch(1, 1.0))
    for refused in (
        lambda: platform.runs.track(EVE, run_id, batch(2, 1.0)),
        lambda: platform.runs.end(EVE, run_id, RunState.FAILED),
        lambda: platform.runs.create(EVE),
    ):
        with pytest.raises(Forbidden):
            refused()
    for unseen in (
        lambda: platform.runs.track(STRANGER, run_id, batch(2, 1.0)),
        lambda: platform.runs.end(STRANGER, run_id, RunState.FAILED),
        lambda: platform.runs.tracked(STRANGER, run_id),
        lambda: platform.runs.track(ANN, new_id(), batch(1, 1.0)),
    ):
        with pytest.raises(NotFound):
            unseen()
    assert platform.runs.get(ANN, run_id).state is RunState.RUNNING


def test_two_who_note_the_same_run_at_the_same_moment_make_one(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is killed has asked; whoever sends what it left asks again before that is answered."""
    run_id, real = new_id(), platform.runs._outside

    def meanwhile(*about: Any) -> Any:
        row = real(*about)
        with monkeypatch.context() as once:
            once.setattr(platform.runs, "_outside", real)
            platform.runs.create(ANN, run_id=run_id, params={"lr": "0.1"})
        return row

    monkeypatch.setattr(platform.runs, "_outside", meanwhile)
    assert platform.runs.create(ANN, run_id=run_id, params={"lr": "0.2"}).id == run_id
    assert platform.runs.tracked(ANN, run_id).params == {"lr": "0.1"}
    assert [run.id for run in platform.runs.list(ANN)] == [run_id]


def test_asking_twice_for_a_run_of_ones_own_id_makes_one(platform: Platform) -> None:
    mine = new_id()
    first = platform.runs.create(ANN, run_id=mine)
    assert platform.runs.create(ANN, run_id=mine) == first
    assert [run.id for run in platform.runs.list(ANN)] == [mine]
    with pytest.raises(Conflict):
        platform.runs.create(Actor("bo-id", "bo", {"default": Role.EDITOR}), run_id=mine)
    for wrong in ("../x", mine.lower(), "", "Z" * 26):
        with pytest.raises(InvalidInput, match="ULID"):
            platform.runs.create(ANN, run_id=wrong)


def test_a_run_from_outside_is_left_alone_by_the_controller_and_ends_when_told(platform: Platform, run_id: str) -> None:
    assert platform.runs.dispatch.tick() is False
    with platform.database.read() as tx:
        assert platform.runs.working(tx) is False
    assert platform.runs.get(ANN, run_id).state is RunState.RUNNING
    platform.runs.end(ANN, run_id, RunState.FAILED, "the loss was nan")
    ended = platform.runs.get(ANN, run_id)
    assert (ended.state, ended.error_message) == (RunState.FAILED, "the loss was nan")
    platform.runs.end(ANN, run_id, RunState.SUCCEEDED)
    assert platform.runs.get(ANN, run_id).state is RunState.FAILED
    with pytest.raises(Conflict, match="from outside"):
        platform.runs.retry(ANN, run_id)
    assert platform.runs.track(ANN, run_id, batch(1, 1.0)).state is RunState.FAILED  # late, and kept
    assert platform.runs.logs(ANN, run_id).lines == ()


def test_cancelling_a_run_from_outside_ends_it_and_its_client_is_told(platform: Platform, run_id: str) -> None:
    platform.runs.cancel(ANN, run_id)
    assert platform.runs.track(ANN, run_id, batch(1, 1.0)).state is RunState.CANCELLED


def test_a_run_of_leptons_own_is_not_ended_by_hand(platform: Platform) -> None:
    with platform.guard.allow(ANN, "models.train") as tx:
        own = platform.runs.submit(ANN, tx, project="default", task="models.train", arguments={"do": "nothing"})
    with pytest.raises(Conflict, match="lepton runs cancel"):
        platform.runs.end(ANN, own.id, RunState.SUCCEEDED)
    assert platform.runs.track(ANN, own.id, batch(1, 1.0)).is_new
    platform.runs.cancel(ANN, own.id)


def test_a_run_that_is_silent_for_too_long_has_failed_and_others_go_on(
    platform: Platform, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = platform.runs.create(ANN).id
    hours = 23
    monkeypatch.setattr(platform.runs, "_clock", lambda: utc_now() + timedelta(hours=hours))
    platform.runs.track(ANN, heard, batch(1))
    assert platform.runs.give_up_silent() == 0
    hours = 25
    assert platform.runs.give_up_silent() == 1
    given_up = platform.runs.get(ANN, run_id)
    assert (given_up.state, given_up.error_message) == (
        RunState.FAILED, "Nothing was heard of this run for 24 hours."
    )  # fmt: skip
    assert platform.runs.get(ANN, heard).state is RunState.RUNNING


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "batch is not one"),
        (b"[]", "batch is not one"),
        (b'{"client": "c"}', "batch"),
        (b'{"client": "", "batch": 1}', "client"),
        (b'{"client": "c", "batch": 0}', "batch"),
        (b'{"client": "c", "batch": 1, "metric": []}', "metric"),
        (b'{"client": "c", "batch": 1, "metrics": [{"key": "a", "value": "secret-words"}]}', "value"),
        (b'{"client": "c", "batch": 1, "metrics": [{"key": "a", "value": 1, "time": "2026-01-01T00:00:00"}]}', "zone"),
        (b'{"client": "c", "batch": 1, "metrics": [{"key": "a", "value": 1, "step": 9223372036854775808}]}', "step"),
        (b'{"client": "c", "batch": 1, "curves": [{"key": "a", "steps": [1], "times_us": [], "values": [1]}]}', "len"),
        (b'{"client": "c", "batch": 1, "params": {"a": "\\u0000"}}', "number 0"),
        (b'{"client": "c", "batch": 1, "params": {"": "x"}}', "batch is not one"),
        (b'{"client": "c", "batch": 1, "params": {"a": 1}}', "batch is not one"),
    ],
)
def test_a_batch_that_is_none_is_refused_without_quoting_it(body: bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        decode(body)
    assert "secret-words" not in refused.value.message


def test_points_are_sent_one_by_one_or_by_curve() -> None:
    found = decode(
        b'{"client": "c", "batch": 1, "metrics": [{"key": "a", "value": 1}, {"key": "b", "value": null, "step": 2},'
        b'{"key": "a", "value": 2, "time": "1970-01-01T00:00:01Z"}],'
        b'"curves": [{"key": "c", "steps": [1, 2], "times_us": [5, 6], "values": [0.5, null]}]}'
    ).points(utc_now())
    by_key = {points.key: points for points in found}
    assert by_key["a"].values == [1.0, 2.0]
    assert by_key["a"].times_us[1] == 1_000_000
    assert (by_key["b"].steps, by_key["b"].values) == ([2], [None])
    assert by_key["c"].values == [0.5, None]


POINTS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1), st.integers(0, 4 * 10**15), st.none() | st.floats(allow_subnormal=True)
    ),
    min_size=1,
)


@given(st.lists(POINTS, min_size=1))
def test_a_curve_in_parts_is_the_curve_as_a_whole(parts: list[list[tuple[int, int, float | None]]]) -> None:
    curve, data = None, b""
    for part in parts:
        points = Points("k", *(list(column) for column in zip(*part, strict=True)))
        curve, data = extended(curve, points), data + pack(points)
    whole = [point for part in parts for point in part]
    read = list(unpack("k", data))
    assert [p.step for p in read] == [s for s, _, _ in whole]
    finite = [v for _, _, v in whole if v is not None and math.isfinite(v)]
    assert [p.value for p in read if not math.isnan(p.value)] == finite
    assert curve is not None
    assert (curve.points, curve.min_value, curve.max_value) == (
        len(whole), min(finite, default=None), max(finite, default=None),
    )  # fmt: skip
    last = max(enumerate(whole), key=lambda numbered: (numbered[1][0], numbered[0]))[1]
    assert curve.last_step == last[0]
    assert curve.last_value == (last[2] if last[2] is not None and math.isfinite(last[2]) else None)
