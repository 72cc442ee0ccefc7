"""Which recipes there are, and how to get what they need."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import cast

from lepton.core.errors import InvalidInput
from lepton.training.recipes.port import Recipe

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
"""By name: module and attribute of the recipe, which is imported by whoever trains, and by nobody else."""

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
    module, _, attribute = RECIPES[name].partition(":")
    recipe = cast(Recipe, getattr(importlib.import_module(module), attribute))
    missing = [need for need in recipe.needs if importlib.util.find_spec(need) is None]
    if missing:
        extra = EXTRAS[name]
        first = f"{CPU_TORCH} (without a GPU), then " if "torch" in missing else ""
        raise InvalidInput(
            f"The recipe {name} needs {missing[0]}, which is not installed where the run works. Install it there: "
            f"{first}pip install 'lepton-platform[{extra}]'"
        )
    return recipe
