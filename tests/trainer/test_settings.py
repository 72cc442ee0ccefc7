"""The trainer's own settings are parted from those of the recipe, and refused where they are not possible."""

from __future__ import annotations

import pytest

from lepton.core.errors import InvalidInput
from lepton.trainer.settings import Settings, take


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
