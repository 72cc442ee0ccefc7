"""JSON becomes frozen records; what does not fit becomes one sentence, never another exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from client.fakes import RUN
from hypothesis import given
from hypothesis import strategies as st

from lepton.client.answers import Answer, decode, decode_items
from lepton.client.dataset_records import DatasetDetail, Profile
from lepton.client.endpoints import Predictions
from lepton.client.models import Lineage, ModelDetail
from lepton.client.runs import Run
from lepton.core.errors import Internal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*RUN, "error", "items"]), inner),
    max_leaves=12,
)


def test_a_record_keeps_the_body_it_came_from() -> None:
    body = json.dumps(RUN | {"ended_at": None, "news": [1]}).encode()
    run = decode(Run, body)
    assert run.body == body
    assert run.created_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert run.ended_at is None
    assert not run.ended


def test_equal_answers_are_equal_however_they_were_written() -> None:
    assert decode(Run, json.dumps(RUN).encode()) == decode(Run, json.dumps(RUN, indent=2).encode())


def test_a_missing_field_is_named() -> None:
    body = json.dumps({key: value for key, value in RUN.items() if key != "state"}).encode()
    with pytest.raises(Internal, match=r"Run\.state .* lepton version"):
        decode(Run, body)


@pytest.mark.parametrize("wrong", [True, 1.5, "1", None, [1]])
def test_a_value_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(Internal, match=r"Run\.workers"):
        decode(Run, json.dumps(RUN | {"workers": wrong}).encode())


def test_whole_numbers_are_fine_where_fractions_are_expected() -> None:
    assert decode(Run, json.dumps(RUN | {"progress": 1}).encode()).progress == 1.0


def test_a_list_keeps_its_body_and_names_the_item_that_is_wrong() -> None:
    body = json.dumps({"items": [RUN, RUN]}).encode()
    runs = decode_items(Run, body)
    assert [run.id for run in runs] == ["01RUN", "01RUN"]
    assert runs.body == body
    with pytest.raises(Internal, match=r"Run\[1\]"):
        decode_items(Run, json.dumps({"items": [RUN, 7]}).encode())


@pytest.mark.parametrize("kind", [Run, DatasetDetail, Profile, ModelDetail, Lineage, Predictions])
@given(value=VALUES)
def test_whatever_comes_is_a_record_or_one_sentence(kind: type[Answer], value: object) -> None:
    try:
        decode(kind, json.dumps(value).encode())
    except Internal as refusal:
        assert "was not understood" in refusal.message  # noqa: PT017 - either way is right


@given(st.binary(max_size=40))
def test_what_is_no_json_is_one_sentence(body: bytes) -> None:
    with pytest.raises(Internal, match="was not understood"):
        decode_items(Run, body)
