"""A journal of Optuna's, read without Optuna: the same studies come out."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages.journal import BaseJournalBackend

from lepton.core.errors import InvalidInput
from lepton.core.refs import Ref
from lepton.models.records import TrainRequest
from lepton.models.studies import Replay, Study
from lepton.models.tune_requests import TuneRequest, check_room, check_tuning, goal
from lepton.runs.records import Quota, Resources

optuna.logging.set_verbosity(optuna.logging.WARNING)


class InMemory(BaseJournalBackend):
    """A journal as text, as the platform keeps it."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.entries += map(json.dumps, logs)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return [json.loads(entry) for entry in self.entries[log_number_from:]]


def replayed(entries: list[str]) -> list[Study]:
    replay = Replay()
    for entry in entries:  # one at a time: what was read is never read again
        replay.apply([entry])
    assert replay.read == len(entries)
    return replay.studies("j")


def test_a_study_reads_as_optuna_reads_it() -> None:
    journal = InMemory()
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(journal), study_name="s", direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=1),
    )  # fmt: skip
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["score"])

    def objective(trial: optuna.Trial) -> float:
        x, n = trial.suggest_float("x", 1e-3, 10, log=True), trial.suggest_int("n", 1, 9, step=2)
        kind = trial.suggest_categorical("kind", ["a", 2, True])
        for step in range(3):
            trial.report(x + step, step)
        if trial.number == 3:
            raise optuna.TrialPruned
        if trial.number == 4:
            raise ValueError
        return math.nan if trial.number == 5 else x * n + (kind == "a")

    study.optimize(objective, n_trials=8, catch=ValueError)
    (found,) = replayed(journal.entries)
    assert (found.name, found.journal, found.directions, found.metric) == ("s", "j", ("maximize",), "score")
    expected = study.get_trials()
    assert [trial.state for trial in found.trials] == [
        "failed" if t.state.name == "FAIL" else t.state.name.lower() for t in expected
    ]
    for mine, theirs in zip(found.trials, expected, strict=True):
        assert dict(mine.params) == theirs.params
        assert dict(mine.steps) == theirs.intermediate_values
        assert mine.value == (theirs.value if theirs.state.name == "COMPLETE" else None)
    assert found.best == study.best_trial.number
    by_name = {one.name: one for one in found.space}
    assert (by_name["x"].kind, by_name["x"].log, by_name["x"].low) == ("number", True, 1e-3)
    assert (by_name["n"].kind, by_name["n"].step) == ("whole", 2.0)
    assert by_name["kind"].choices == ("a", 2, True)


def test_enqueued_and_added_trials_and_deleted_studies_read_as_optuna_reads_them() -> None:
    journal = InMemory()
    storage = optuna.storages.JournalStorage(journal)
    gone = optuna.create_study(storage=storage, study_name="gone")
    gone.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    kept = optuna.create_study(storage=storage, study_name="kept")
    kept.enqueue_trial({"x": 0.25})
    kept.add_trial(
        optuna.trial.create_trial(
            params={"x": 0.5}, distributions={"x": optuna.distributions.FloatDistribution(0, 1)}, value=7.0
        )
    )
    optuna.delete_study(study_name="gone", storage=storage)
    (found,) = replayed(journal.entries)
    assert found.name == "kept"
    assert [(one.state, one.value, dict(one.params)) for one in found.trials] == [
        ("waiting", None, {}), ("complete", 7.0, {"x": 0.5}),
    ]  # fmt: skip
    assert found.best == 1


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.dictionaries(st.text(), st.integers()).map(json.dumps),
            st.builds(
                lambda code, rest: json.dumps({"op_code": code} | rest),
                st.integers(-2, 12),
                st.dictionaries(
                    st.sampled_from(
                        [
                            "study_id",
                            "trial_id",
                            "state",
                            "values",
                            "user_attr",
                            "directions",
                            "study_name",
                            "datetime_start",
                        ]
                    ),
                    st.none() | st.integers(-3, 3),
                ),
            ),
        )
    )
)
def test_what_nobody_can_understand_is_passed_over(entries: list[str]) -> None:
    replayed(entries)


def a_request(search: tuple[str, ...] = ("l2=0.1..1",), **more: Any) -> TuneRequest:
    train = TrainRequest(
        "m", Ref("d"), "y", recipe=more.pop("recipe", "logistic_regression"), params=more.pop("params", {})
    )
    return TuneRequest(train, {}, search, **more)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sampler": "best"}, "no sampler 'best'"),
        ({"pruner": "all"}, "no pruner 'all'"),
        ({"trials": 0}, "trials is 1 to"),
        ({"parallel": 1000}, "parallel is 1 to"),
        ({"budget_s": 0.0}, "budget is more than 0"),
        ({"patience": 0}, "patience is 1 or more"),
        ({"metric": "loss max min"}, "no metric"),
        ({"sampler": "grid"}, "needs the values of l2"),
        ({"search": ("depth=1..2",)}, "no parameter 'depth'"),
        ({"search": ("solver=1|2",)}, "must be text"),
        ({"params": {"l2": 1.0}}, "searched and set"),
        ({"study": "No Good"}, "cannot name a study"),
        ({"recipe": "xgboost", "search": ("max_dept=2..4",)}, "'max_dept' here. Did you mean max_depth"),
        ({"recipe": "xgboost", "search": ("max_depth=2.0..4.0",)}, "max_depth is '2.6.*must be a whole number"),
        ({"recipe": "pytorch", "search": ("optimizer=adamw|1",)}, "optimizer is '1'; it must be text"),
        ({"recipe": "pytorch", "params": {"epoch": 3}, "search": ("dropout=0..0.5",)}, "Did you mean epochs"),
    ],
)
def test_a_search_that_cannot_go_well_is_refused_before_it_begins(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check_tuning(a_request(**wrong))


def test_the_name_of_a_metric_says_which_is_better_unless_one_says_it() -> None:
    assert goal("valid_loss") == ("valid_loss", "minimize")
    assert goal("valid_accuracy") == ("valid_accuracy", "maximize")
    assert goal("valid_roc_auc") == ("valid_roc_auc", "maximize")
    assert goal("seconds max") == ("seconds", "maximize")
    assert goal("valid_accuracy min") == ("valid_accuracy", "minimize")


def test_a_quota_that_leaves_no_room_for_trials_is_said_at_once() -> None:
    one = Resources(1.0)
    check_room(Quota(), one)
    check_room(Quota(running=2, cpus=1.1), one)
    with pytest.raises(InvalidInput, match="1 run at a time"):
        check_room(Quota(running=1), one)
    with pytest.raises(InvalidInput, match="quota of 1.1 at least"):
        check_room(Quota(cpus=1.0), one)
