"""A training with a framework is a command, and is called a training wherever people meet it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.refs import Ref
from lepton.models.commanded import Plan, submission_of
from lepton.models.features import Column
from lepton.models.lineage import draw
from lepton.models.records import ModelVersion, TrainRequest
from lepton.models.signature import Task
from lepton.runs.commands import COMMAND, verb_of
from lepton.runs.records import Run, RunState

NOW = datetime(2026, 11, 27, tzinfo=UTC)
AGE = Column("age", ColumnType.NUMBER, ColumnClass.PLAIN)


def a_training() -> Run:
    request = TrainRequest(name="churn", dataset=Ref("customers", 1), target="left", recipe="xgboost", workers=2)
    submitted = submission_of(Plan(request, AGE, (AGE,)))
    params = {"command": submitted.command.text, **submitted.params}
    return Run("R1", "default", COMMAND, RunState.SUCCEEDED, submitted.command.workers, "ann", NOW, params=params)


@pytest.mark.parametrize(
    ("task", "command", "verb"),
    [
        (COMMAND, "python -m lepton.trainer", "models.train"),
        (COMMAND, "python -m lepton.tuner", "models.tune"),
        (COMMAND, "python train.py", "runs.submit"),
        (COMMAND, None, "runs.submit"),
        ("models.train", None, "models.train"),
        ("runs.create", "python -m lepton.trainer", "runs.create"),
    ],
)
def test_the_verb_is_what_was_asked_for_and_not_how_it_is_run(task: str, command: str | None, verb: str) -> None:
    assert verb_of(task, {} if command is None else {"command": command}) == verb


def test_a_training_bears_the_name_of_its_model_and_its_recipe() -> None:
    run = a_training()
    assert verb_of(run.task, run.params) == "models.train"
    assert (run.params["name"], run.params["recipe"]) == ("churn", "xgboost")


def test_in_the_lineage_of_its_model_it_is_a_training_with_its_recipe() -> None:
    version = ModelVersion(
        "M1", "default", "churn", 1, Task.CLASSIFICATION, "xgboost", "left", "customers@1", "R1", NOW, "ann", 9, "0", {}
    )
    node = next(one for one in draw(version, {"customers@1": None}, {"R1": a_training()}).nodes if one.id == "run:R1")
    assert (node.label, node.detail) == ("models.train", "xgboost, 2 workers, succeeded")
