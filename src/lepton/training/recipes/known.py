"""Which recipes there are, and how to get what they need."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import cast

from lepton.core.errors import InvalidInput
from lepton.training.recipes.parameters import read_parameters
from lepton.training.recipes.port import Parameters, Recipe

_HERE = "lepton.training.recipes"
RECIPES: dict[str, str] = {
    "auto": "lepton.training.auto.recipe:RECIPE",
    "jax": f"{_HERE}.jax:RECIPE",
    "keras": f"{_HERE}.keras:RECIPE",
    "lightgbm": f"{_HERE}.lightgbm:RECIPE",
    "lightning": f"{_HERE}.lightning:RECIPE",
    "pytorch": f"{_HERE}.pytorch:RECIPE",
    "sklearn": f"{_HERE}.sklearn:RECIPE",
    "transformers": f"{_HERE}.transformers:RECIPE",
    "xgboost": f"{_HERE}.xgboost:RECIPE",
}
"""By name: module and attribute of the recipe. The module loads no framework: that is for whoever trains."""
OPEN = frozenset({"sklearn"})
"""Recipes that hand on what they do not know themselves: the estimator, which may be the user's, has parameters too."""

CPU_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""PyTorch for processors only, which is a fifth of the download; on Linux the usual one brings CUDA."""
EXTRAS: dict[str, str] = {
    "jax": "jax",
    "keras": "tensorflow",
    "lightgbm": "lightgbm",
    "lightning": "lightning",
    "pytorch": "torch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}
"""By name of a recipe: the extra of the distribution that brings what it needs."""

PROTOBUF = 7
"""From this version on it breaks the converters to ONNX."""
JUDGES = frozenset({"auto"})
"""Recipes that judge what they learn on rows that they part themselves, and so learn from all that there are."""
READERS: dict[str, int] = {"transformers": 64}
"""Recipes that read texts word by word: how many words of one, where nothing else is said."""


def find(name: str) -> Recipe:
    """Return a recipe, ready to train.

    Raises:
        InvalidInput: if there is no such recipe, or what it needs is not installed; the message says how to get it.
    """
    if name not in RECIPES:
        raise InvalidInput(f"There is no recipe {name[:80]!r}. Choose one of: {', '.join(RECIPES)}.")
    if int(importlib.metadata.version("protobuf").partition(".")[0]) >= PROTOBUF:
        raise InvalidInput(
            f"protobuf {PROTOBUF} is installed where the run works, and no model can be written as ONNX with it. "
            f"Install an earlier one there: pip install 'protobuf>=6.33,<{PROTOBUF}'"
        )
    recipe = _load(name)
    missing = [need for need in recipe.needs if importlib.util.find_spec(need) is None]
    if missing:
        extra = EXTRAS[name]
        first = f"{CPU_TORCH} (without a GPU), then " if "torch" in missing else ""
        raise InvalidInput(
            f"The recipe {name} needs {missing[0]}, which is not installed where the run works. Install it there: "
            f"{first}pip install 'lepton-platform[{extra}]'"
        )
    return recipe


def check(name: str, given: Parameters) -> None:
    """Check what a recipe is told, as far as it is known without its framework.

    Raises:
        InvalidInput: if there is no parameter of a name, or a value is of another type than its default.
    """
    recipe = _load(name)
    its_own = {key: value for key, value in given.items() if name not in OPEN or key in recipe.parameters}
    read_parameters(recipe.parameters, its_own)


def _load(name: str) -> Recipe:
    module, _, attribute = RECIPES[name].partition(":")
    return cast(Recipe, getattr(importlib.import_module(module), attribute))
