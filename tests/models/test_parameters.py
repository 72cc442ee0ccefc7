"""What a training is told is refused where it is not possible, before anything is started and without the framework."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lepton.core.errors import InvalidInput
from lepton.core.refs import Ref
from lepton.models.parameters import Settings, check_parameters, take
from lepton.models.records import Parameter, TrainRequest
from lepton.training.recipes.known import RECIPES


def test_settings_of_the_trainer_are_parted_from_those_of_the_recipe() -> None:
    assert take({"epochs": 3, "validation_fraction": 0.2, "tokens": 8}) == (
        Settings(validation_fraction=0.2, tokens=8),
        {"epochs": 3},
    )


def test_a_recipe_that_reads_texts_gets_tokens_unless_told_otherwise() -> None:
    assert take({}, tokens=64)[0].tokens == 64
    assert take({"tokens": 0}, tokens=64)[0].tokens == 0


def test_a_recipe_that_judges_itself_learns_from_all_rows_unless_told_otherwise() -> None:
    assert take({}, watched=0.0)[0].validation_fraction == 0.0
    assert take({"validation_fraction": 0.3}, watched=0.0)[0].validation_fraction == 0.3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"validation_fraction": 1}, "validation_fraction must lie between 0 and 1"),
        ({"validation_fraction": "much"}, "validation_fraction must lie between 0 and 1"),
        ({"validation_fraction": True}, "validation_fraction must lie between 0 and 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be a whole number from 1"),
        ({"tokens": -1}, "tokens must be a whole number from 0"),
        ({"tokens": 1.5}, "tokens must be a whole number from 0"),
        ({"keep_constant": 1}, "keep_constant must be true or false"),
        ({"task": "ranking"}, "task must be one of: auto, regression, classification"),
    ],
)
def test_a_setting_that_is_not_possible_is_refused_with_what_is(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        take(given)


def a_request(recipe: str, params: dict[str, Parameter], **more: object) -> TrainRequest:
    return TrainRequest("m", Ref("d"), "y", recipe=recipe, params=params, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "given", "said"),
    [
        ("xgboost", {"max_dept": 3}, "There is no parameter 'max_dept' here. Did you mean max_depth?"),
        ("lightgbm", {"leaves": "many"}, "The parameter leaves is 'many'; it must be a whole number."),
        ("pytorch", {"epochs": 1.5}, "The parameter epochs is '1.5'; it must be a whole number."),
        ("keras", {"learning_rate": "fast"}, "The parameter learning_rate is 'fast'; it must be a number."),
        ("sklearn", {"epochs": "ten"}, "The parameter epochs is 'ten'; it must be a whole number."),
        ("jax", {"tokens": -1}, "tokens must be a whole number from 0."),
    ],
)
def test_what_a_framework_is_told_is_refused_in_the_words_of_the_run(
    recipe: str, given: dict[str, Parameter], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_parameters(a_request(recipe, given))
    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("xgboost", {"max_depth": 4.0, "learning_rate": 1, "validation_fraction": 0.2}),
        ("pytorch", {"hidden": "64,32", "task": "regression", "checkpoint_every": 10}),
        ("sklearn", {"estimator": "random_forest", "n_estimators": 30, "logisticregression__C": 2}),
        ("linear_regression", {"max_dept": 3}),  # no command: checked by `check_request`
    ],
)
def test_what_can_be_said_passes_and_an_estimator_has_parameters_of_its_own(
    recipe: str, given: dict[str, Parameter]
) -> None:
    check_parameters(a_request(recipe, given))
    if recipe == "sklearn":
        check_parameters(a_request(recipe, {"depth": 3}, model="mine.py:Mine", code={"mine.py": ""}))


def test_parameters_are_checked_where_no_framework_is_installed() -> None:
    frameworks = ("torch", "lightning", "tensorflow", "keras", "jax", "transformers", "sklearn", "xgboost", "lightgbm")
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({frameworks!r}))\n"
        "from lepton.training.recipes.known import RECIPES, check\n"
        "for name in RECIPES: check(name, {})\n"
        "print(len(RECIPES))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(RECIPES))]
