"""What Optuna does in a search, without a platform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna
import pytest

from lepton.core.errors import InvalidInput
from lepton.training.search import parse_all
from lepton.tuner.optimizer import Optimizer, is_told


@pytest.fixture(autouse=True)
def _own_warnings() -> Iterator[None]:
    """The run that searches silences Optuna's notes on what is experimental, for its own process; here it must not."""
    import warnings

    with warnings.catch_warnings():
        yield


def an_optimizer(storage: Any = None, **more: Any) -> Optimizer:
    asked = {
        "direction": "minimize", "space": parse_all(["x=-5.0..5.0", "kind=a|b"]), "sampler": "random",
        "pruner": "none", "trials": 10, "parallel": 2, "seed": 0, **more,
    }  # fmt: skip
    return Optimizer(storage or optuna.storages.InMemoryStorage(), "s", **asked)


def play(optimizer: Optimizer, trials: int) -> list[float]:
    """Try settings one after the other; the best x is 2."""
    values = []
    for _ in range(trials):
        tried = optimizer.ask()
        assert tried is not None
        values.append((float(tried.params["x"]) - 2) ** 2 + (tried.params["kind"] == "b"))
        optimizer.tell(tried, values[-1])
    return values


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_every_sampler_finds_something_better_than_it_began_with(sampler: str) -> None:
    optimizer = an_optimizer(sampler=sampler)
    values = play(optimizer, 25)
    best = optimizer.best()
    assert best is not None
    assert values[best.number] == min(values) < min(values[:3])
    shares = optimizer.importance()
    assert set(shares) == {"x", "kind"}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)  # they are shares


def test_a_grid_tries_each_combination_once_also_when_another_process_goes_on() -> None:
    storage, space = optuna.storages.InMemoryStorage(), parse_all(["x=1..3", "kind=a|b"])
    first = an_optimizer(storage, space=space, sampler="grid")
    points = [tried.params for _ in range(4) if (tried := first.ask()) is not None and not first.tell(tried, 1.0)]
    second = an_optimizer(storage, space=space, sampler="grid")
    while (tried := second.ask()) is not None:
        points.append(tried.params)
        second.tell(tried, 1.0)
    assert len(points) == len({tuple(sorted(point.items())) for point in points}) == 6


def test_whoever_goes_on_finds_what_runs_and_draws_something_new() -> None:
    storage = optuna.storages.InMemoryStorage()
    first = an_optimizer(storage)
    left = [first.ask(), first.ask()]
    second = an_optimizer(storage)
    assert second.left_running() == left
    drawn = second.ask()
    assert drawn is not None
    assert drawn.params["x"] not in [one.params["x"] for one in left if one is not None]
    # A kill between the beginning of a trial and the drawing of its settings.
    storage.create_new_trial(0)
    assert len(an_optimizer(storage).left_running()) == 3
    assert second.spent() == 0, "what was never tried does not count"


def test_patience_counts_what_ended_since_the_best() -> None:
    optimizer = an_optimizer(direction="maximize")
    for value in (1.0, 3.0, 2.0, 0.5):
        tried = optimizer.ask()
        assert tried is not None
        optimizer.tell(tried, value)
    assert optimizer.since_better() == 2
    tried = optimizer.ask()
    assert tried is not None
    optimizer.fail(tried, "no")
    assert (optimizer.since_better(), optimizer.spent(), optimizer.complete()) == (3, 5, 4)


@pytest.mark.parametrize("pruner", ["median", "hyperband", "asha"])
def test_every_pruner_ends_a_trial_that_is_far_worse_and_lets_a_better_one_go_on(pruner: str) -> None:
    optimizer = an_optimizer(pruner=pruner)
    for number in range(12):
        tried = optimizer.ask()
        assert tried is not None
        if not optimizer.report(tried, [(step, 10.0 - step / 10 - number / 100) for step in range(80)]):
            optimizer.tell(tried, 1.0)
        else:
            optimizer.prune(tried)
    pruned = []
    for _ in range(4):  # hyperband has several brackets; the gentlest lets everything pass
        bad = optimizer.ask()
        assert bad is not None
        pruned.append(optimizer.report(bad, [(step, 1e6) for step in range(80)]))
        optimizer.prune(bad)
    assert any(pruned)
    good = optimizer.ask()
    assert good is not None
    assert not optimizer.report(good, [(step, -5.0) for step in range(80)])


def test_a_value_that_is_no_number_is_a_failure() -> None:
    optimizer = an_optimizer()
    tried = optimizer.ask()
    assert tried is not None
    optimizer.tell(tried, float("nan"))
    assert (optimizer.spent(), optimizer.complete(), optimizer.best(), optimizer.importance()) == (1, 0, None, {})


def test_a_grid_without_steps_is_refused() -> None:
    with pytest.raises(InvalidInput, match="step"):
        an_optimizer(sampler="grid")


def test_the_steps_that_are_reported_are_the_same_for_all_trials_and_few() -> None:
    told = [step for step in range(100_001) if is_told(step)]
    assert told[:3] == [0, 1, 2]
    assert {99, 100, 110, 120, 1000, 1100, 99_000, 100_000} <= set(told)
    assert not {101, 1001, 12_345} & set(told)
    assert len(told) < 400
