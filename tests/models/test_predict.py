"""Predicting whole datasets, over real tables: the answers of the endpoint on every row, and who may have them."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
from datasets.warehouse import EDITOR, OWNER, STEWARD, VIEWER, Warehouse
from models.conftest import customers

from lepton.access.records import Actor
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound
from lepton.core.refs import Ref, parse_ref
from lepton.core.settings import Settings
from lepton.datasets.schema import Column, Schema
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.records import Records
from lepton.models.batch import add_answers, added_columns, check_inputs
from lepton.models.linear import run_train
from lepton.models.operations import Models
from lepton.models.prediction import open_session, run_session
from lepton.models.records import TrainRequest
from lepton.models.signature import LABEL, PROBABILITIES, Input, Label, Signature, Task
from lepton.models.tasks import run_predict
from lepton.runs.records import RunState
from lepton.runs.scripts import Scripts
from lepton.store.blobs import BlobStore

FEATURES = ("age", "income", "city", "member")
SAME = 1e-12
"""A row alone and a row among others are added up in another order; nothing else may differ."""


class Office(Warehouse):
    """A warehouse with models in it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        blobs = BlobStore(settings.objects, self.keyring)
        self.models = Models(
            guard=self.guard, keyring=self.keyring, blobs=blobs, datasets=self.datasets, runs=self.runs,
            scripts=Scripts(runs=self.runs, guard=self.guard, keyring=self.keyring, blobs=blobs, settings=settings),
            clock=clock,
        )  # fmt: skip
        self.tasks |= {
            "models.train": partial(run_train, self.models),
            "models.predict": partial(run_predict, self.models),
        }

    def train(self, actor: Actor = EDITOR, *, features: tuple[str, ...] = FEATURES, **request: Any) -> str:
        dataset = Ref(request.pop("dataset", "people"))
        asked = TrainRequest(name="buyers", dataset=dataset, features=features, **request)
        return self.work(self.models.train(actor, request=asked), actor).outputs[0].removeprefix("model:")

    def predict(self, actor: Actor = EDITOR, *, dataset: str = "people@1", **options: Any) -> pl.DataFrame:
        """Predict a dataset; return the table that was made."""
        run = self.work(self.models.predict(actor, Ref("buyers"), dataset=parse_ref(dataset), **options), actor)
        return self.table(run.outputs[0].removeprefix("dataset:"))

    def table(self, ref: str) -> pl.DataFrame:
        return self.datasets.open(OWNER, parse_ref(ref)).scan().collect()


@pytest.fixture
def office(settings: Settings, clock: Clock) -> Iterator[Office]:
    """An office with one dataset, ``people@1``."""
    office = Office(settings, clock)
    office.add(csv(customers()))
    yield office
    office.close()


def csv(frame: pl.DataFrame) -> str:
    return frame.write_csv()


def answers_of_the_endpoint(office: Office, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row in a request of its own, on the road the replica takes."""
    model = office.models.open(OWNER, Ref("buyers"))
    session, signature = open_session(model.graph), model.signature
    shape = Shape(signature)
    records = Records(shape, endpoint="buyers", model="buyers@1")
    found = []
    for row in rows:
        arrays = shape.arrays([records.decode(json.dumps([row]).encode())])
        outputs = Outputs(signature, run_session(session, signature, arrays))
        found += json.loads(records.encode(outputs, 0, 1))["predictions"]
    return found


def test_every_row_gets_the_answer_of_the_endpoint_missing_and_unseen_values_included(office: Office) -> None:
    office.train(target="plan")
    strange = customers(60, seed=9).with_columns(
        city=pl.Series([None, "Atlantis", "Rome"] * 20), age=pl.Series([None, 20, 60, 1000] * 15)
    )
    office.add(csv(strange), name="strangers")
    made = office.predict(dataset="strangers")
    assert made.columns == [
        *strange.columns,
        "prediction",
        "probability_gold",
        "probability_silver",
    ]
    assert made.select(strange.columns).equals(office.table("strangers@1"))
    answers = answers_of_the_endpoint(office, made.select(FEATURES).to_dicts())
    assert made["prediction"].to_list() == [answer["label"] for answer in answers]
    for name in ("gold", "silver"):  # "none" means missing in a CSV
        expected = [answer["probabilities"][name] for answer in answers]
        assert made[f"probability_{name}"].to_list() == pytest.approx(expected, rel=SAME, abs=SAME)


def test_a_regression_adds_its_number(office: Office) -> None:
    office.train(target="spent")
    made = office.predict()
    assert made.columns[-2:] == ["spent", "prediction"]
    expected = [answer["value"] for answer in answers_of_the_endpoint(office, made.select(FEATURES).to_dicts())]
    assert made["prediction"].to_list() == pytest.approx(expected, rel=SAME)


def test_the_version_that_is_made_tells_where_it_comes_from(office: Office) -> None:
    office.train(target="bought")
    run = office.work(office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("people")), EDITOR)
    assert run.inputs == ("model:buyers@1", "dataset:people@1")
    assert run.outputs == ("dataset:people-buyers@1",)
    detail = office.datasets.get(VIEWER, Ref("people-buyers"))
    assert (detail.version.parent, detail.version.made_by, detail.version.run_id) == ("people@1", "predict", run.id)
    assert office.datasets.report(VIEWER, Ref("people-buyers")).steps[0].summary == "3 columns added by a model"
    lineage = office.models.lineage(VIEWER, Ref("buyers"))
    edges = {(edge.source, edge.target) for edge in lineage.edges}
    assert {
        ("model:buyers@1", f"run:{run.id}"),
        ("dataset:people@1", f"run:{run.id}"),
        (f"run:{run.id}", "dataset:people-buyers@1"),
    } <= edges
    assert len({node.id for node in lineage.nodes}) == len(lineage.nodes)
    assert {end for edge in edges for end in edge} == {node.id for node in lineage.nodes}


def test_a_model_that_learned_from_predictions_comes_from_the_model_that_made_them(office: Office) -> None:
    office.train(target="bought")
    first = office.predict(name="scored")
    assert first.height == 400
    asked = TrainRequest(name="second", dataset=Ref("scored"), target="spent", features=("age", "probability_yes"))
    office.work(office.models.train(EDITOR, request=asked), EDITOR)
    lineage = office.models.lineage(EDITOR, Ref("second"))
    ids = [node.id for node in lineage.nodes]
    predicting = office.datasets.get(EDITOR, Ref("scored")).version.run_id
    assert ("model:buyers@1", f"run:{predicting}") in [(edge.source, edge.target) for edge in lineage.edges]
    assert ids.index("model:buyers@1") < ids.index("dataset:scored@1") < ids.index("model:second@1")


def test_rows_are_predicted_a_block_at_a_time_as_they_are_written(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.train(target="bought")
    monkeypatch.setattr("lepton.models.shards.BLOCK_ROWS", 64)
    heights: list[int] = []
    alive: list[int] = []
    blocks: list[weakref.ref[pl.DataFrame]] = []
    original = office.datasets.store

    def watched(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for frame in frames:
            heights.append(frame.height)
            blocks.append(weakref.ref(frame))
            yield frame.clone()  # what the writer keeps is its own affair
            del frame
            gc.collect()
            alive.append(sum(block() is not None for block in blocks))

    office.datasets.store = lambda project, frames, schema: original(project, watched(frames), schema)  # type: ignore[method-assign]
    made = office.predict()
    assert made.height == sum(heights) == 400
    assert len(heights) >= 400 / 64
    assert max(heights) <= 64
    assert max(alive) <= 1


def test_old_columns_keep_their_statistics_and_new_ones_get_theirs(office: Office) -> None:
    office.train(target="bought")
    made = office.predict(name="scored")
    before, after = (office.datasets.profile(EDITOR, Ref(name)) for name in ("people", "scored"))
    assert after.columns[: len(before.columns)] == before.columns
    assert after.duplicate_rows == before.duplicate_rows
    label, _, share = after.columns[len(before.columns) :]
    assert {value.value: value.count for value in label.top_values or ()} == dict(
        made["prediction"].value_counts().rows()
    )
    assert share.mean == pytest.approx(made["probability_yes"].mean())


def test_predicting_again_into_the_same_name_makes_the_next_version(office: Office) -> None:
    office.train(target="spent")
    office.predict(name="people")
    assert office.datasets.get(EDITOR, Ref("people")).version.version == 2
    assert office.predict(dataset="people@2").columns[-2:] == ["prediction", "prediction_2"]


def test_missing_and_wrong_columns_are_named_in_one_sentence_before_a_run_is_made(office: Office) -> None:
    office.train(target="bought")
    frame = customers(20).drop("age", "member").with_columns(income=pl.lit("much"))
    office.add(csv(frame), name="other")
    runs = len(office.runs.list(OWNER))
    with pytest.raises(InvalidInput) as caught:
        office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("other"))
    assert caught.value.message == (
        "The model cannot predict dataset 'other@1': it lacks the columns 'age', 'member' and holds another kind of "
        "values in 'income' (text, the model takes number). "
        "Rename columns before the import and change types with datasets.clean, or choose another dataset."
    )
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("people"), name="My Predictions")
    assert len(office.runs.list(OWNER)) == runs


@pytest.mark.parametrize(("personal", "features"), [(["bought"], ("age", "city")), (["city"], ("age", "city"))])
def test_predictions_that_tell_of_personal_columns_are_personal(
    settings: Settings, clock: Clock, personal: list[str], features: tuple[str, ...]
) -> None:
    office = Office(settings, clock)
    office.add(csv(customers()), personal=tuple(personal))
    office.add(csv(customers(seed=1)), name="open")
    office.train(STEWARD, target="bought", features=features)
    made = office.predict(STEWARD, dataset="open")
    names = ["probability"] if personal == ["bought"] else ["probability_no", "probability_yes"]
    assert made.columns[7:] == ["prediction", *names]
    hidden = office.datasets.get(EDITOR, Ref("open-buyers")).schema[7:]
    assert {(column.column_class, column.masked) for column in hidden} == {(ColumnClass.PERSONAL, True)}
    if personal == ["bought"]:
        share = made["probability"]
        assert share.min() >= 0.5  # of two classes the likelier one
    for dataset in ("people", "open"):
        with pytest.raises(Forbidden, match=r"personal columns|columns you may not read"):
            office.models.predict(EDITOR, Ref("buyers"), dataset=Ref(dataset))
    office.close()


def test_who_may_not_read_all_of_a_dataset_makes_no_other_of_it(settings: Settings, clock: Clock) -> None:
    office = Office(settings, clock)
    office.add(csv(customers()))
    office.add(csv(customers()), personal=("plan",), name="guarded")
    office.train(target="bought")
    with pytest.raises(Forbidden, match=r"columns you may not read \('plan'\)"):
        office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("guarded"))
    assert office.predict(STEWARD, dataset="guarded").height == 400
    office.close()


@pytest.mark.parametrize(
    ("actor", "model", "dataset", "refused"),
    [
        (VIEWER, "nothing", "nothing", Forbidden),
        (EDITOR, "nothing", "people", NotFound),
        (EDITOR, "buyers@2", "people", NotFound),
        (EDITOR, "buyers", "people@9", NotFound),
    ],
)
def test_what_may_not_be_or_is_not_there_is_refused(
    office: Office, actor: Actor, model: str, dataset: str, refused: type[LeptonError]
) -> None:
    office.train(target="bought")
    with pytest.raises(refused):
        office.models.predict(actor, parse_ref(model, "model"), dataset=parse_ref(dataset))


def test_a_cancelled_run_leaves_nothing_behind(office: Office) -> None:
    office.train(target="bought")
    files = office.files()
    run = office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("people"))
    with pytest.raises(Conflict, match="cancelled"):
        office.work(run, EDITOR, is_stopping=True)
    assert office.files() == files
    office.runs.cancel(EDITOR, run.id)
    with pytest.raises(NotFound):
        office.datasets.get(EDITOR, Ref("people-buyers"))


def test_a_run_that_was_cancelled_while_it_committed_leaves_nothing_behind(office: Office) -> None:
    office.train(target="bought")
    files = office.files()
    run = office.models.predict(EDITOR, Ref("buyers"), dataset=Ref("people"))
    original = office.datasets.commit

    def late(*arguments: Any, **options: Any) -> Any:
        with office.database.begin() as tx:
            from lepton.runs import rows

            rows.move(tx, run.id, RunState.CANCELLED)
        return original(*arguments, **options)

    office.datasets.commit = late  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        office.work(run, EDITOR)
    assert office.files() == files


# The pure part


def a_signature(kind: ColumnType, classes: tuple[Label, ...] | None, *inputs: Input) -> Signature:
    task = Task.REGRESSION if classes is None else Task.CLASSIFICATION
    return Signature(task, "y", kind, inputs or (Input("x", ColumnType.NUMBER),), classes)


X = Column("x", ColumnType.NUMBER)


@pytest.mark.parametrize(
    ("kind", "classes", "codes", "expected"),
    [
        (ColumnType.BOOLEAN, (False, True), [0, 1], [False, True]),
        (ColumnType.INTEGER, (1, 2), [1, 2], [1, 2]),
        (ColumnType.NUMBER, (1, 2), [1, 2], [1.0, 2.0]),
        (ColumnType.TEXT, ("a", "b"), ["a", "b"], ["a", "b"]),
    ],
)
def test_predicted_labels_have_the_type_of_the_target(
    kind: ColumnType, classes: tuple[Label, ...], codes: list[Any], expected: list[Any]
) -> None:
    signature = a_signature(kind, classes)
    added = added_columns(signature, Schema((X,)))
    labels = np.array(codes, dtype=object if kind is ColumnType.TEXT else np.int64)
    outputs = {LABEL: labels, PROBABILITIES: np.array([[0.9, 0.1], [0.2, 0.8]])}
    made = add_answers(pl.DataFrame({"x": [1.0, 2.0]}), added, signature, outputs)
    assert made["prediction"].to_list() == expected
    assert added[0].type is kind
    assert made.columns[2:] == [f"probability_{str(c).lower()}" for c in classes]


def test_names_that_are_taken_get_a_number_and_long_labels_are_cut() -> None:
    signature = a_signature(ColumnType.TEXT, ("a" * 100 + "1", "a" * 100 + "2"))
    schema = Schema((X, Column("prediction", ColumnType.TEXT), Column("prediction_2", ColumnType.TEXT)))
    cut = "probability_" + "a" * 60
    assert [column.name for column in added_columns(signature, schema)] == ["prediction_3", cut, f"{cut}_2"]


@pytest.mark.parametrize("sensitive", ["x", "y"])
def test_a_column_that_is_secret_in_the_predicted_dataset_makes_the_predictions_secret(sensitive: str) -> None:
    columns = (X, Column("y", ColumnType.TEXT))
    schema = Schema(
        tuple(Column(c.name, c.type, ColumnClass.SECRET if c.name == sensitive else ColumnClass.PLAIN) for c in columns)
    )
    added = added_columns(a_signature(ColumnType.TEXT, ("a", "b")), schema)
    assert {column.column_class for column in added} == {ColumnClass.SECRET}
    assert len(added) == (2 if sensitive == "y" else 3)


def test_numbers_of_any_kind_will_do_for_one_another() -> None:
    signature = a_signature(ColumnType.NUMBER, None)
    for kind in (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN):
        check_inputs(signature, Schema((Column("x", kind),)), "d@1")
    for kind in (ColumnType.TEXT, ColumnType.DATE):
        with pytest.raises(InvalidInput, match="another kind of values in 'x'"):
            check_inputs(signature, Schema((Column("x", kind),)), "d@1")
