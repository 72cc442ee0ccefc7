"""A search on a real platform: trials are runs, nothing is lost by a kill, and the best settings make a model."""

from __future__ import annotations

import io
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from platforms import in_a_process

import lepton
from lepton import local
from lepton.client.runs import Run
from lepton.core.errors import Conflict, InvalidInput, NotFound, RunFailed
from lepton.core.settings import Settings
from lepton.testing.engines import eventually
from lepton.tuner.searching import Search

SEED = 0
"""With it, the faster learner comes first in the grid."""
GRID = ("l2=0.001|0.1|10|1000",)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A platform in a process of its own, that can be killed."""
    with in_a_process(tmp_path_factory.mktemp("tuning") / "home") as settings:
        yield settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[lepton.Client]:
    with local.client_of(settings) as client:
        draw = random.Random(0)
        lines = ["a,b,left"]
        for _ in range(160):
            a, b = draw.random(), draw.random()
            lines.append(f"{a:.4f},{b:.4f},{'yes' if a - b + draw.gauss(0, 0.2) > 0 else 'no'}")
        client.datasets.import_(io.BytesIO("\n".join(lines).encode()), name="leavers")
        yield client


def tuner_of(run_id: str) -> int | None:
    """The process that searches, if it is there."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            variables = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "lepton.tuner" in words and f"LEPTON_RUN_ID={run_id}" in variables:
            return int(path.name)
    return None


def tried(client: lepton.Client, study: str) -> list[Run]:
    """The runs of a study's trials."""
    found = client.runs.list(filter=f"tags.study = '{study}'", columns=["tags.*", "metrics.*"])
    return [run for run in found if "tags.trial" in run.columns]


def test_a_search_that_is_killed_goes_on_and_each_trial_is_tried_once(client: lepton.Client) -> None:
    run = client.models.tune(
        "leavers", dataset="leavers", target="left", recipe="logistic_regression", search=GRID, sampler="grid",
        params={"solver": "newton"}, trials=9, parallel=2, wait=False,
    )  # fmt: skip
    assert (run.verb, run.params["name"], run.resources.cpus) == ("models.tune", "leavers", 0.1)

    def complete() -> int:
        found = [one for one in client.models.studies() if one.name == "leavers"]
        return found[0].counts.get("complete", 0) if found else 0

    eventually(lambda: complete() >= 1 and tuner_of(run.id) is not None, "a trial has ended", within_s=120)
    os.kill(tuner_of(run.id) or 0, signal.SIGKILL)
    ended = client.runs.wait(run.id)
    assert ended.attempt == 1

    study = client.models.study("leavers")
    assert study.message == "ended as the grid was tried"
    assert study.counts == {"complete": 4}
    assert sorted(trial.params["l2"] for trial in study.trials) == [0.001, 0.1, 10, 1000]
    runs = tried(client, "leavers")
    assert sorted(one.columns["tags.trial"] for one in runs) == ["0", "1", "2", "3"]
    assert {one.id for one in runs} == {trial.run_id for trial in study.trials}
    for one in runs:  # measured on rows to learn from, never on those held out, and no version was made
        told = {name for name in one.columns if name.startswith("metrics.")}
        assert {"metrics.valid_loss", "metrics.valid_accuracy"} <= told
        assert not [name for name in told if name.startswith("metrics.test")]
        assert one.outputs == ()
    values = {trial.number: trial.value for trial in study.trials}
    assert study.best_value == min(value for value in values.values() if value is not None)
    assert study.importance == {"l2": 1.0}
    model = client.models.get(study.model)
    assert (model.ref, model.version) == ("leavers@1", 1)
    assert client.runs.get(model.run_id).params["l2"] == study.best_params["l2"]
    page = client.runs.get_artifact(run.id, "study.html").decode()
    assert "lepton-history" in page
    assert "lepton-importance" in page


def a_search(client: lepton.Client, study: str, **plan: Any) -> tuple[Search, list[str]]:
    """A search in this process, as the run that searches would make it."""
    lines: list[str] = []
    train = {
        "name": study, "dataset": "leavers@1", "target": "left", "recipe": "logistic_regression",
        **plan.pop("train", {}),
    }  # fmt: skip
    whole = {
        "train": train, "search": list(GRID), "trials": 3, "parallel": 2, "sampler": "random", "pruner": "none",
        "metric": "valid_loss", "direction": "minimize", "budget_s": None, "patience": None, "study": study, **plan,
    }  # fmt: skip
    whole["about"] = {"model": study, "search": whole["search"], "metric": whole["metric"]}
    run = client.runs.create(name="searches")
    return Search(client, whole, run_id=run.id, say=lines.append, stop=threading.Event()), lines


def test_a_trial_that_goes_badly_is_ended_early_and_its_run_cancelled(client: lepton.Client) -> None:
    # The first learns fast and ends; the second learns next to nothing with each of very many iterations.
    fixed = {"solver": "gd", "tolerance": 1e-3, "max_iterations": 30_000_000}
    search, lines = a_search(
        client, "early", search=["learning_rate=0.5|0.0000001"], sampler="grid", pruner="asha", metric="loss",
        parallel=1, trials=2, train={"params": fixed, "seed": SEED},
    )  # fmt: skip
    search.run()
    study = search.found()
    assert [(one.params["learning_rate"], one.state) for one in study.trials] == [(0.5, "complete"), (1e-7, "pruned")]
    assert "trial 1 is pruned" in lines
    assert client.runs.get(study.trials[0].run_id).state == "succeeded"
    eventually(lambda: client.runs.get(study.trials[1].run_id).state == "cancelled", "it was cancelled", within_s=60)
    assert study.trials[1].steps[0].step <= 2, "its curve is with the study"


def test_two_searches_of_one_name_agree_on_what_they_search(client: lepton.Client) -> None:
    search, _ = a_search(client, "agreed")
    search._take()
    other, _ = a_search(client, "agreed", search=["l1=0.1|1"])
    with pytest.raises(Conflict, match="another search"):
        other._take()
    second, _ = a_search(client, "agreed")
    with pytest.raises(Conflict, match="searches the study 'agreed' now"):
        second._take()
    with pytest.raises(Conflict, match="another"):
        client.models.tune("agreed", dataset="leavers", target="left", search={"l2": (0.1, 1.0)}, wait=False)
    client.models.forget("agreed")
    with pytest.raises(NotFound, match="no study 'agreed'"):
        client.models.study("agreed")


def test_a_search_of_which_every_trial_fails_says_why(client: lepton.Client) -> None:
    search, lines = a_search(client, "hopeless", train={"params": {"solver": 3}})
    with pytest.raises(RunFailed, match=r"No trial of the study 'hopeless' ended well\. The first: .*must be text"):
        search.run()
    assert len([line for line in lines if "must be text" in line]) == 3
    assert client.models.study("hopeless").counts == {"failed": 3}


def test_a_quota_without_room_for_trials_is_refused_at_once(client: lepton.Client) -> None:
    client.runs.limit(running=1)
    with pytest.raises(InvalidInput, match="quota of 2 at least"):
        client.models.tune("m", dataset="leavers", target="left", search={"l2": (0.1, 1.0)}, wait=False)
    client.runs.limit()
