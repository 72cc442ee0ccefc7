"""What a training run brings is read with suspicion: who may see what of it is decided by the dataset's columns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import Forbidden, InvalidInput
from lepton.datasets.schema import Column, Schema
from lepton.models import bundle, delivered
from lepton.models.features import Column as Given
from lepton.models.features import Features, NumberFeature
from lepton.models.graph import Linear, model_graph
from lepton.models.records import Plot, Trained
from lepton.models.signature import Signature, Task

FEATURES = Features((NumberFeature(Given("area", ColumnType.NUMBER), 1.0, 2.0, 3.0),))
SIGNATURE = Signature(Task.REGRESSION, "price", ColumnType.NUMBER, FEATURES.inputs)
TRAINED = Trained(
    name="houses",
    recipe="sklearn",
    dataset="houses@1",
    signature=SIGNATURE,
    graph=model_graph(FEATURES, Linear(np.array([2.0]), 1.0)),
    metrics={"r2": 0.9},
    plots=(Plot("importance", {"names": ["area"], "values": [1.0]}),),
    notes=("One sentence.",),
)


def archive(**changes: object) -> bytes:
    files = bundle.unpack(delivered.pack(TRAINED), max_bytes=1 << 20)
    told = json.loads(files[delivered.TRAINED]) | changes
    return bundle.pack(files | {delivered.TRAINED: json.dumps(told).encode()})


def schema(area: ColumnClass = ColumnClass.PLAIN, *, masked: bool = False) -> Schema:
    return Schema(
        (Column("area", ColumnType.NUMBER, area, masked=masked), Column("price", ColumnType.NUMBER, ColumnClass.SECRET))
    )


def test_what_was_packed_is_read_back() -> None:
    assert delivered.read(delivered.pack(TRAINED)) == TRAINED


def test_sensitivity_is_that_of_the_columns_whatever_the_run_says() -> None:
    found = delivered.classified(delivered.read(delivered.pack(TRAINED)), schema(ColumnClass.PERSONAL))
    assert found.signature.classes_held == {ColumnClass.PERSONAL, ColumnClass.SECRET}
    assert [plot.learned_from for plot in found.plots] == [{ColumnClass.PERSONAL, ColumnClass.SECRET}]


def test_a_column_that_its_submitter_may_not_read_is_refused() -> None:
    with pytest.raises(Forbidden, match="learned from column 'area', which you may not read"):
        delivered.classified(TRAINED, schema(ColumnClass.PERSONAL, masked=True))


def test_a_column_that_the_dataset_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="takes a column 'area', which its dataset does not have"):
        delivered.classified(TRAINED, Schema((Column("price", ColumnType.NUMBER),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"r2": "high"}},
        {"metrics": [1]},
        {"plots": [{"kind": "<b>", "data": {}}]},
        {"plots": [{"kind": "roc", "data": [1]}]},
        {"signature": {"task": "regression"}},
        {"notes": None},
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="What the training brought cannot be read"):
        delivered.read(archive(**changes))


def test_numbers_that_are_not_finite_and_names_that_are_none_are_left_out() -> None:
    found = delivered.read(archive(metrics={"r2": 0.5, "mae": float("inf"), "a b": 1.0}))
    assert found.metrics == {"r2": 0.5}


def test_a_graph_that_takes_something_else_is_refused() -> None:
    other = replace(SIGNATURE, inputs=(replace(SIGNATURE.inputs[0], name="note", type=ColumnType.TEXT),))
    with pytest.raises(InvalidInput, match="does not take and answer what its signature says"):
        delivered.read(archive(signature=json.loads(other.to_json())))


def test_an_archive_without_a_graph_is_refused() -> None:
    with pytest.raises(InvalidInput):
        delivered.read(bundle.pack({delivered.TRAINED: b"{}"}))
