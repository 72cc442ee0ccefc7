"""What the terminal shows of a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from lepton.cli import run_pages, tables
from lepton.client.runs import Metric, MetricPoint, Metrics, Run, Tracked

BEGAN = datetime(2026, 11, 27, tzinfo=UTC)


def a_run(**more: object) -> Run:
    given: dict[str, object] = {
        "id": "01J8ZQ4T6W", "task": "runs.create", "verb": "runs.create", "state": "succeeded", "workers": 1,
        "submitted_by": "ada",
        "created_at": BEGAN, "started_at": BEGAN, "ended_at": BEGAN + timedelta(seconds=2.5), **more,
    }  # fmt: skip
    return Run(**given)  # type: ignore[arg-type]


def shown(*parts: object) -> list[str]:
    console = Console(width=160)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_run_is_shown_with_its_name_settings_tags_and_curves_in_columns() -> None:
    points = tuple(MetricPoint(step=step, time=BEGAN, value=1 / (step + 1)) for step in range(4))
    measured = Metrics(metrics=(Metric(key="train/loss", points=points), Metric(key="f1", points=points[:1])))
    tags = {"name": "third try", "experiment": "digits", "mlflow.user": "ada", "note": "two\nlines " + "x" * 200}
    lines = shown(*run_pages.run(a_run(), measured, Tracked(params={"lr": "0.1"}, tags=tags, metrics=())))
    assert lines[0] == "01J8ZQ4T6W  third try  succeeded"
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[1:] if line.strip()}
    assert (facts["lr"], facts["experiment"], facts["took"]) == ("0.1", "digits", "2.5 s")
    assert facts["note"].startswith("two lines xxx")
    assert facts["note"].endswith("…")
    assert "mlflow.user" not in facts
    curves = [line for line in lines if "→" in line]
    assert [line[:12] for line in curves] == ["train/loss  ", "f1          "]
    assert curves[0].endswith("1 → 0.25")


@pytest.mark.parametrize(
    ("verb", "params", "name"),
    [
        (
            "models.train",
            {"name": "churn", "recipe": "xgboost", "command": "python -m lepton.trainer"},
            "train churn (xgboost)",
        ),
        ("models.tune", {"name": "churn", "command": "python -m lepton.tuner"}, "tune churn"),
        ("models.train", {"recipe": "auto"}, "models.train"),
        ("runs.submit", {"name": "mine", "command": "python a.py"}, "mine"),
    ],
)
def test_what_trains_is_called_a_training_of_its_model(verb: str, params: dict[str, str], name: str) -> None:
    task = "runs.submit" if "command" in params else verb
    assert tables.name_of(a_run(task=task, verb=verb, params=params)) == name


@pytest.mark.parametrize(
    ("params", "tag", "name"),
    [
        ({"name": "mine", "command": "python a.py"}, None, "mine"),
        ({"command": "python a.py"}, None, "python a.py"),
        ({}, "recorded", "recorded"),
        ({}, None, "runs.create"),
        ({"command": "x" * 50}, None, "x" * 39 + "…"),
    ],
)
def test_a_list_calls_a_run_by_its_name_or_after_what_it_does(
    params: dict[str, str], tag: str | None, name: str
) -> None:
    lines = shown(tables.runs([a_run(params=params, columns={"tags.name": tag})]))
    assert any(name in line for line in lines), lines
