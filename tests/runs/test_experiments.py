"""Experiments gather runs by the name in their tag; runs are searched with many orders, and deleted ones come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from runs.small_platform import Platform

from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from lepton.runs.batch import Batch, Columns
from lepton.runs.experiments import DEFAULT_ID, Experiments, Wanted
from lepton.runs.filters import Condition, Order, Search
from lepton.runs.records import RunState

ANN = Actor("ann-id", "ann", {"default": Role.EDITOR, "lab": Role.EDITOR})
EVE = Actor("eve-id", "eve", {"default": Role.VIEWER})
STRANGER = Actor("sam-id", "sam", {"lab": Role.OWNER})


@pytest.fixture
def experiments(platform: Platform) -> Experiments:
    return Experiments(database=platform.database, guard=platform.guard, runs=platform.runs, clock=utc_now)


def test_a_run_belongs_to_the_experiment_whose_name_it_bears(platform: Platform, experiments: Experiments) -> None:
    early = platform.runs.create(ANN, tags={"experiment": "houses"})
    made = experiments.create(ANN, "houses", tags={"team": "a"})
    started = experiments.start(ANN, made.id, tags={"name": "first"})
    assert {run.id for run in experiments.search(EVE, Wanted((made.id,)))} == {early.id, started.id}
    assert started.experiment_id == made.id
    assert experiments.get(EVE, name="houses") == experiments.get(EVE, made.id) == made


def test_runs_follow_their_experiment_to_its_new_name(platform: Platform, experiments: Experiments) -> None:
    made = experiments.create(ANN, "houses")
    run = experiments.start(ANN, made.id)
    experiments.update(ANN, made.id, name="homes", tags={"a": "1"})
    experiments.update(ANN, made.id, tags={"a": None, "b": "2"})
    assert [found.id for found in experiments.search(EVE, Wanted((made.id,)))] == [run.id]
    assert platform.runs.tracked(EVE, run.id).tags["experiment"] == "homes"
    assert experiments.get(EVE, name="homes").tags == {"b": "2"}
    with pytest.raises(NotFound, match="houses"):
        experiments.get(EVE, name="houses")


def test_every_project_has_an_experiment_that_stays(experiments: Experiments) -> None:
    run = experiments.start(ANN, DEFAULT_ID)
    assert [found.id for found in experiments.search(EVE, Wanted((DEFAULT_ID,)))] == [run.id]
    assert [one.name for one in experiments.list(EVE)] == ["Default"]
    experiments.update(ANN, DEFAULT_ID, tags={"a": "1"})
    assert experiments.get(EVE, DEFAULT_ID).tags == {"a": "1"}
    assert [one.id for one in experiments.list(EVE)] == [DEFAULT_ID]
    for change in ({"name": "mine"}, {"deleted": True}):
        with pytest.raises(InvalidInput, match="Default"):
            experiments.update(ANN, DEFAULT_ID, **change)  # type: ignore[arg-type]


def test_a_name_is_taken_once_in_a_project(experiments: Experiments) -> None:
    made = experiments.create(ANN, "houses")
    other = experiments.create(ANN, "cars")
    experiments.create(ANN, "houses", project="lab")
    for name in ("houses", "Default"):
        with pytest.raises(Conflict, match="already"):
            experiments.create(ANN, name)
        with pytest.raises(Conflict, match="already"):
            experiments.update(ANN, other.id, name=name)
    assert made.name == "houses"


def test_of_many_who_make_one_experiment_at_once_one_succeeds(experiments: Experiments) -> None:
    def make(_: int) -> bool:
        try:
            experiments.create(ANN, "houses")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(16))) == 1
    run = experiments.start(ANN, DEFAULT_ID)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: experiments.keep(ANN, run.id, "input", {"same": str(n)}), range(16)))
        list(pool.map(lambda n: experiments.update(ANN, DEFAULT_ID, tags={"same": str(n)}), range(16)))
    assert set(experiments.run(EVE, run.id).words["input"]) == {"same"}


def test_a_deleted_experiment_takes_no_runs_until_it_is_restored(experiments: Experiments) -> None:
    made = experiments.create(ANN, "houses")
    experiments.update(ANN, made.id, deleted=True)
    with pytest.raises(InvalidInput, match="deleted"):
        experiments.start(ANN, made.id)
    experiments.update(ANN, made.id, deleted=False)
    assert experiments.start(ANN, made.id).experiment_id == made.id


def test_what_is_sorted_by_may_be_missing_and_comes_last(platform: Platform, experiments: Experiments) -> None:
    names = {}
    for name, loss, kind in (("a", 0.3, "x"), ("b", 0.1, "x"), ("c", None, "x"), ("d", 0.2, "w")):
        run = experiments.start(ANN, DEFAULT_ID, tags={"name": name})
        names[run.id] = name
        curves = [] if loss is None else [Columns("loss", [1], [0], [loss])]
        platform.runs.track(ANN, run.id, Batch(client="mlflow", batch=0, curves=curves, params={"kind": kind}))

    def look(*orders: Order) -> str:
        found = experiments.search(EVE, Wanted((DEFAULT_ID,), orders=orders))
        return "".join(names[run.id] for run in found)

    loss, kind = Order("metric", "loss", descending=False), Order("param", "kind", descending=False)
    assert look(loss) == "bdac"
    assert look(Order("metric", "loss", descending=True)) == "adbc"
    assert look(kind, loss) == "dbac"
    assert look(Order("tag", "name", descending=True)) == "dcba"


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Condition("tag", "name", "like exactly", "First%"), "F"),
        (Condition("tag", "name", "like", "first%"), "Ff"),
        (Condition("tag", "name", "like exactly", "%*[1]_"), "f"),
        (Condition("tag", "name", "like exactly", r"a\b"), "s"),
        (Condition("tag", "only", "is null", ""), "fs"),
        (Condition("tag", "only", "is not null", ""), "F"),
        (Condition("tag", "name", "in", ("First", r"a\b")), "Fs"),
        (Condition("tag", "name", "not in", ("First", r"a\b")), "f"),
        (Condition("run", "state", "in", ()), ""),
        (Condition("run", "started_at", ">", datetime(2020, 1, 2, tzinfo=UTC)), "s"),
        (Condition("run", "started_at", "=", datetime(2020, 1, 2, tzinfo=UTC)), "f"),
    ],
)
def test_conditions_of_another_language_mean_the_same_in_both_databases(
    experiments: Experiments, condition: Condition, found: str
) -> None:
    names = {}
    for day, (letter, name) in enumerate({"F": "First", "f": "first *[1]?", "s": r"a\b"}.items(), 1):
        tags = {"name": name} | ({"only": "1"} if letter == "F" else {})
        run = experiments.start(ANN, DEFAULT_ID, tags=tags, started_at=datetime(2020, 1, day, tzinfo=UTC))
        names[run.id] = letter
    wanted = Wanted((DEFAULT_ID,), conditions=(condition,))
    assert "".join(sorted(names[run.id] for run in experiments.search(EVE, wanted))) == found


def test_a_deleted_run_is_in_no_list_until_it_is_put_back(platform: Platform, experiments: Experiments) -> None:
    run = experiments.start(ANN, DEFAULT_ID)
    experiments.mark(ANN, run.id, deleted=True)
    assert experiments.search(EVE, Wanted((DEFAULT_ID,))) == []
    assert platform.runs.list(EVE) == platform.runs.list(EVE, search=Search()) == []
    assert [found.id for found in experiments.search(EVE, Wanted((DEFAULT_ID,), deleted=True))] == [run.id]
    assert experiments.run(EVE, run.id).is_deleted
    experiments.mark(ANN, run.id, deleted=False)
    assert [found.id for found in platform.runs.list(EVE)] == [run.id]


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
def test_a_run_that_is_moved_to_its_end_looks_like_one_that_was_ended(
    platform: Platform, experiments: Experiments, state: RunState
) -> None:
    moved, ended = experiments.start(ANN, DEFAULT_ID), platform.runs.create(ANN)
    experiments.move(ANN, moved.id, state)
    platform.runs.end(ANN, ended.id, state)
    looks = [platform.runs.get(ANN, run_id) for run_id in (moved.id, ended.id)]
    assert len({(run.state, run.progress, run.error_code) for run in looks}) == 1


def test_a_run_ends_and_goes_on_as_whoever_records_it_says(experiments: Experiments) -> None:
    run, end = experiments.start(ANN, DEFAULT_ID), datetime(2020, 1, 1, tzinfo=UTC)
    experiments.move(ANN, run.id, RunState.FAILED, ended_at=end)
    assert (experiments.run(EVE, run.id).state, experiments.run(EVE, run.id).ended_at) == (RunState.FAILED, end)
    experiments.move(ANN, run.id, RunState.RUNNING)
    assert (experiments.run(EVE, run.id).state, experiments.run(EVE, run.id).ended_at) == (RunState.RUNNING, None)


def test_params_that_are_fixed_stay_and_the_whole_batch_is_refused(
    platform: Platform, experiments: Experiments
) -> None:
    run = experiments.start(ANN, DEFAULT_ID)

    def track(params: dict[str, str], tags: dict[str, str]) -> None:
        platform.runs.track(ANN, run.id, Batch(client="mlflow", batch=0, params=params, tags=tags), fixed=True)

    track({"lr": "0.1"}, {})
    track({"lr": "0.1", "depth": "3"}, {"a": "1"})
    with pytest.raises(InvalidInput, match="'lr'"):
        track({"lr": "0.2", "new": "1"}, {"a": "2"})
    tracked = platform.runs.tracked(EVE, run.id)
    assert (tracked.params, tracked.tags["a"]) == ({"lr": "0.1", "depth": "3"}, "1")


def test_texts_of_programs_are_kept_with_a_run_and_found_by_experiment(experiments: Experiments) -> None:
    houses = experiments.create(ANN, "houses")
    inside, outside = experiments.start(ANN, houses.id), experiments.start(ANN, DEFAULT_ID)
    experiments.keep(ANN, inside.id, "model", {"m-1": "one"})
    experiments.keep(ANN, inside.id, "model", {"m-1": "uno"})
    experiments.keep(ANN, outside.id, "model", {"m-2": "two"})
    assert [word.text for word in experiments.kept(EVE, "model")] == ["two", "uno"]
    assert [word.text for word in experiments.kept(EVE, "model", experiments=[houses.id])] == ["uno"]
    assert [word.run_id for word in experiments.kept(EVE, "model", key="m-2")] == [outside.id]
    experiments.forget(ANN, inside.id, "model", "m-1")
    with pytest.raises(NotFound, match="m-1"):
        experiments.forget(ANN, inside.id, "model", "m-1")


def test_who_may_only_look_changes_nothing_and_strangers_find_nothing(experiments: Experiments) -> None:
    run = experiments.start(ANN, DEFAULT_ID)
    for ask in (
        lambda who: experiments.mark(who, run.id, deleted=True),
        lambda who: experiments.move(who, run.id, RunState.FAILED),
        lambda who: experiments.keep(who, run.id, "input", {"a": "b"}),
        lambda who: experiments.forget(who, run.id, "tag", "name"),
    ):
        with pytest.raises(Forbidden):
            ask(EVE)
        with pytest.raises(NotFound):
            ask(STRANGER)
    with pytest.raises(NotFound):
        experiments.run(STRANGER, run.id)
    with pytest.raises(Forbidden):
        experiments.create(EVE, "mine")


def test_artifacts_are_removed_one_by_one_and_by_folder(platform: Platform, experiments: Experiments) -> None:
    run = experiments.start(ANN, DEFAULT_ID)
    for path in ("a.txt", "plots/a.png", "plots/deep/b.png", "plots_of_mine/c.png"):
        platform.runs.put_artifact(ANN, run.id, path, [b"content"])
    assert platform.runs.remove_artifacts(ANN, run.id, "plots") == 2
    assert [one.path for one in platform.runs.artifacts(EVE, run.id)] == ["a.txt", "plots_of_mine/c.png"]
    with pytest.raises(Forbidden):
        platform.runs.remove_artifacts(EVE, run.id)
    assert platform.runs.remove_artifacts(ANN, run.id) == 2
    assert platform.runs.sweep() == 0
