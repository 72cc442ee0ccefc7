"""Training on shards, alone and together, and the packed model that comes of it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from models.conftest import customers
from models.workshop import EDITOR, OWNER, STEWARD, Workshop, together

from lepton.core.columns import ColumnClass
from lepton.core.errors import Forbidden, InvalidInput, LeptonError
from lepton.core.refs import Ref
from lepton.models.agreement import agree
from lepton.models.frames import predict_frame
from lepton.models.prediction import decode_rows, open_session, run_session
from lepton.models.shards import share_of_rows
from lepton.runs.records import RunState

# The promise is 1e-6: iterative solvers stop within their tolerance of the optimum, on whatever shards
TOLERANCE = 1e-6


@pytest.fixture
def catalog_url() -> str:
    """Training itself does not depend on the catalog: SQLite is enough here."""
    return "sqlite"


def predictions(workshop: Workshop, version: int, frame: pl.DataFrame) -> dict[str, np.ndarray]:
    model = workshop.models.open(OWNER, Ref("model", version))
    return predict_frame(open_session(model.graph), model.signature, frame)


@pytest.mark.parametrize("target", ["bought", "plan", "spent"])
def test_two_workers_find_what_one_finds(workshop: Workshop, target: str) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    features = ("age", "income", "city", "member")
    for workers in (1, 2, 3):
        run, recorded = workshop.train(target=target, workers=workers, features=features)
        assert run.state is RunState.SUCCEEDED
        assert run.outputs == (f"model:model@{workers}",)
        assert len(recorded.metrics["loss"]) > 0
        assert sum("learns from" in line for line in recorded.lines) == workers
    name = "prediction" if target == "spent" else "probabilities"
    frame = customers(seed=1)
    one = predictions(workshop, 1, frame)[name]
    for version in (2, 3):
        np.testing.assert_allclose(predictions(workshop, version, frame)[name], one, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 50 iterations are not enough, on purpose
def test_gradient_descent_on_two_workers_finds_what_it_finds_on_one(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    for workers in (1, 2):
        params = {"solver": "gd", "max_iterations": 50, "learning_rate": 0.1}
        _, recorded = workshop.train(target="spent", workers=workers, params=params, features=("age", "income", "city"))
        assert [step for step, _ in recorded.metrics["loss"]][:3] == [1, 2, 3]
        assert any("gd solver: 50 iterations" in line for line in recorded.lines)
    frame = customers(seed=1)
    one, two = (predictions(workshop, version, frame)["prediction"] for version in (1, 2))
    np.testing.assert_allclose(two, one, rtol=TOLERANCE, atol=TOLERANCE)


def test_the_model_learns_what_is_there_to_learn(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(2000), run_id="r")
    features = ("age", "income", "city", "member")
    workshop.train(target="bought", features=features)
    metrics = workshop.models.get(EDITOR, Ref("model")).version.metrics
    assert metrics["accuracy"] > 0.8
    assert metrics["roc_auc"] > 0.88
    assert metrics.keys() == {"accuracy", "roc_auc", "log_loss", "f1"}
    workshop.train(target="spent", features=features)
    metrics = workshop.models.get(EDITOR, Ref("model")).version.metrics
    assert metrics["r2"] > 0.7
    assert metrics.keys() == {"r2", "mae", "rmse", "share_within_10pct"}


def test_requests_get_the_predictions_of_training_missing_and_unseen_values_included(workshop: Workshop) -> None:
    table = customers()
    workshop.datasets.add("table", table, run_id="r")
    workshop.train(target="bought", features=("age", "income", "city", "member"))
    model = workshop.models.open(EDITOR, Ref("model"))
    frame = customers(50, seed=3).with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("Atlantis")).otherwise("city").alias("city")
    )
    rows = json.loads(json.dumps(frame.select(i.name for i in model.signature.inputs).to_dicts()))
    session = open_session(model.graph)
    served = run_session(session, model.signature, decode_rows(model.signature, rows))
    trained = predict_frame(session, model.signature, frame)
    np.testing.assert_array_equal(served["label"], trained["label"])
    np.testing.assert_allclose(served["probabilities"], trained["probabilities"], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("target", "type_", "classes"),
    [
        (pl.Series([True, False] * 30), bool, (False, True)),
        (pl.Series([3, 1, 2] * 20), int, (1, 2, 3)),
        (pl.Series([1.0, 0.0] * 30), int, (0, 1)),
    ],
)
def test_labels_keep_the_type_of_the_target(workshop: Workshop, target: pl.Series, type_: type, classes: Any) -> None:
    frame = pl.DataFrame({"x": target.cast(pl.Float64) + np.linspace(0, 0.5, 60), "y": target})
    workshop.datasets.add("table", frame, run_id="r")
    workshop.train(target="y")
    signature = workshop.models.get(EDITOR, Ref("model")).signature
    assert signature.classes == classes
    assert all(type(label) is type_ for label in signature.classes or ())
    assert workshop.models.get(EDITOR, Ref("model")).version.metrics["accuracy"] == 1.0


def test_free_text_is_learned_from_in_the_same_one_graph(workshop: Workshop) -> None:
    texts = [f"{'Win a FREE prize' if i % 3 == 0 else 'See you at home'} {i}, ok?" for i in range(300)]
    frame = pl.DataFrame({"message": texts, "label": ["spam" if i % 3 == 0 else "ham" for i in range(300)]})
    workshop.datasets.add("table", frame, run_id="r")
    for workers in (1, 2):
        workshop.train(target="label", workers=workers)
    assert workshop.models.get(EDITOR, Ref("model")).version.metrics["accuracy"] == 1.0
    model = workshop.models.open(EDITOR, Ref("model"))
    rows = [{"message": "free, free & free!"}, {"message": None}, {"message": "home"}]
    answers = run_session(open_session(model.graph), model.signature, decode_rows(model.signature, rows))
    assert answers["label"].tolist() == ["spam", "ham", "ham"]
    one, two = (predictions(workshop, version, frame)["probabilities"] for version in (1, 2))
    np.testing.assert_allclose(two, one, atol=TOLERANCE)


def test_rows_without_a_target_and_useless_columns_are_left_out_and_that_is_said(workshop: Workshop) -> None:
    frame = customers(100).with_columns(
        pl.lit(1.0).alias("constant"), pl.lit(None, dtype=pl.Float64).alias("empty"),
        pl.date(2026, 1, 1).alias("day"), pl.format("secret{}", pl.int_range(100)).alias("note"),
        pl.when(pl.int_range(100) >= 10).then("spent").alias("spent"),
    )  # fmt: skip
    workshop.datasets.add("table", frame, run_id="r")
    _, recorded = workshop.train(target="spent")
    said = "\n".join(recorded.lines)
    for sentence in (
        "10 rows without a usable value in column 'spent' are left out",
        "Column 'constant' has one and the same value in all training rows. It is left out.",
        "Column 'empty' has no values in the training rows. It is left out.",
        "Column 'day' holds date values",
        "Column 'note' is an identifier",
    ):
        assert sentence in said
    assert "secret" not in said
    notes = workshop.models.get(EDITOR, Ref("model")).notes
    assert len(notes) == 4


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target": "constant"}, "one and the same value"),
        ({"target": "empty"}, "has no values"),
        ({"target": "city", "recipe": "linear_regression"}, "predicts numbers"),
        ({"target": "income", "recipe": "logistic_regression"}, "numbers with decimals"),
        ({"target": "spent", "features": ("constant",)}, "one and the same value"),
        ({"target": "spent", "params": {"solver": "magic"}}, "no solver"),
    ],
)
def test_what_cannot_be_trained_fails_on_all_workers_with_one_sentence(
    workshop: Workshop, workers: int, change: dict[str, Any], sentence: str
) -> None:
    constants = [pl.lit("same").alias("constant"), pl.lit(None, dtype=pl.Float64).alias("empty")]
    workshop.datasets.add("table", customers(100).with_columns(constants), run_id="r")
    with pytest.raises(InvalidInput, match=sentence):
        workshop.train(workers=workers, **change)
    assert workshop.models.list(EDITOR) == []


def test_a_failure_on_one_worker_is_raised_on_all() -> None:
    raised: dict[int, str] = {}

    def work(collective: Any) -> None:
        def look() -> int:
            if collective.rank == 1:
                raise InvalidInput("Worker 1 met something. Mend it.")
            if collective.rank == 2:
                raise ValueError("secret")
            return 1

        try:
            agree(collective, look)
        except (LeptonError, ValueError) as error:
            raised[collective.rank] = str(error)

    together(3, work)
    assert raised == {0: "Worker 1 met something. Mend it.", 1: "Worker 1 met something. Mend it.", 2: "secret"}


def test_a_foreign_failure_on_one_worker_says_to_the_others_where_to_look() -> None:
    raised: dict[int, str] = {}

    def work(collective: Any) -> None:
        def look() -> None:
            if collective.rank == 1:
                raise ValueError("secret")

        try:
            agree(collective, look)
        except (LeptonError, ValueError) as error:
            raised[collective.rank] = str(error)

    together(2, work)
    assert "the log of this run" in raised[0]
    assert "secret" not in raised[0]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_every_chosen_row_belongs_to_one_worker(world_size: int) -> None:
    random = np.random.default_rng(0)
    for rows in (0, 1, 5, 100):
        chosen = random.random(rows) < 0.6
        shares = [share_of_rows(chosen, rank, world_size) for rank in range(world_size)]
        counts = [int(chosen[first:end].sum()) for first, end in shares]
        assert sum(counts) == chosen.sum()
        assert all(one[1] == other[0] for one, other in pairwise(shares))
        assert max(counts) - min(counts) <= 1


def test_protected_columns_are_used_only_when_they_are_named_by_who_may_read_them(workshop: Workshop) -> None:
    classes = {"city": ColumnClass.PERSONAL, "income": ColumnClass.SECRET}
    workshop.datasets.add("table", customers(), run_id="r", **classes)
    _, recorded = workshop.train(EDITOR, target="bought")
    assert "Column 'city' is personal and you may not read it. It is left out." in recorded.lines
    inputs = [i.name for i in workshop.models.get(OWNER, Ref("model")).signature.inputs]
    assert "city" not in inputs
    _, recorded = workshop.train(STEWARD, target="bought")
    assert "Column 'city' is personal. It is left out unless it is named as a feature." in recorded.lines
    workshop.train(STEWARD, target="bought", features=("city",))
    assert [i.name for i in workshop.models.get(OWNER, Ref("model")).signature.inputs] == ["city"]
    _, recorded = workshop.train(OWNER, target="bought")
    assert "Column 'income' is secret. It is left out unless it is named as a feature." in recorded.lines
    workshop.train(OWNER, target="bought", features=("income",))
    assert [i.name for i in workshop.models.get(OWNER, Ref("model")).signature.inputs] == ["income"]
    with pytest.raises(Forbidden, match="'city' is personal and you may not read it"):
        workshop.train(EDITOR, target="city")
    with pytest.raises(Forbidden, match="'income' is secret and you may not read it"):
        workshop.train(STEWARD, target="bought", features=("income",))


def test_a_table_too_large_for_memory_is_read_again_in_every_pass(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.datasets.add("table", customers(300), run_id="r")
    features = ("age", "income", "city", "member")
    workshop.train(target="bought", features=features)
    monkeypatch.setattr("lepton.models.shards.MEMORY_BYTES", 1000)
    monkeypatch.setattr("lepton.models.shards.BLOCK_ROWS", 64)
    workshop.train(target="bought", features=features, workers=2)
    frame = customers(seed=1)
    one, two = (predictions(workshop, version, frame)["probabilities"] for version in (1, 2))
    np.testing.assert_allclose(two, one, atol=TOLERANCE)


def test_a_cancelled_training_keeps_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    monkeypatch.setattr("lepton.runs.context.TaskContext.should_stop", lambda context: context.rank == 1)
    run, _ = workshop.train(target="bought", workers=2)
    assert run.state is RunState.RUNNING
    assert workshop.models.list(EDITOR) == []
