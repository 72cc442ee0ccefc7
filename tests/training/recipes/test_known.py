"""A recipe that cannot work here is refused with the command that mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import pytest

from lepton.core.errors import InvalidInput
from lepton.training.recipes.known import RECIPES, find


def test_a_framework_that_is_not_installed_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> Any:
        return None if name == "torch" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    with pytest.raises(
        InvalidInput, match="pytorch needs torch, which is not installed where the run works"
    ) as refused:
        find("pytorch")
    assert "pip install torch --index-url https://download.pytorch.org/whl/cpu (without a GPU)" in refused.value.message
    assert "pip install 'lepton-platform[torch]'" in refused.value.message


def test_a_protobuf_that_breaks_exports_is_refused_before_anything_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "7.1.0")
    with pytest.raises(InvalidInput, match="pip install 'protobuf>=6.33,<7'"):
        find("sklearn")


def test_a_recipe_that_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=f"Choose one of: {', '.join(RECIPES)}"):
        find("tensorflow")
