"""The recipe jax, by the contract of all recipes, with modules of nnx and of linen."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lepton.testing.recipes import RecipeContract
from lepton.training.recipes.port import Parameters


@pytest.fixture(autouse=True)
def _compile_quickly(monkeypatch):
    """What is learned here takes milliseconds; compiling it well would take seconds each time."""
    import jax

    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # the workers
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


class TestJax(RecipeContract):
    recipe_name = "jax"

    def quick(self, task: str) -> Parameters:
        return {"epochs": 30, "batch_size": 60, "learning_rate": 0.02, "hidden": 16}

    def short(self) -> Parameters:
        return {"epochs": 3, "batch_size": 120, "learning_rate": 0.02, "dropout": 0.1, "hidden": 16}

    def whole(self, rows: int) -> Parameters:
        return {"epochs": 20, "batch_size": rows, "learning_rate": 0.02, "hidden": 16}

    def early(self) -> tuple[Parameters, int]:
        return {"epochs": 200, "patience": 3, "learning_rate": 0.02}, 200

    def diverging(self) -> Parameters:
        return {"optimizer": "sgd", "learning_rate": 1e12, "hidden": 16}

    def long(self) -> Parameters:
        return {"epochs": 100_000, "patience": 0}

    def unknown(self) -> Mapping[str, str]:
        return {"learning_rat": "learning_rate"}

    def models(self) -> Mapping[str, tuple[object, Parameters]]:
        import flax.linen as nn
        from flax import nnx

        class Linen(nn.Module):
            outputs: int

            @nn.compact
            def __call__(self, x, train=False):
                x = nn.relu(nn.Dense(16)(x))
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
                x = nn.Dropout(0.1, deterministic=not train)(x)
                return nn.Dense(self.outputs)(x)

        class Nnx(nnx.Module):
            def __init__(self, problem):
                rngs = nnx.Rngs(0)
                self.first = nnx.Linear(problem.width, 16, rngs=rngs)
                self.norm = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
                self.drop = nnx.Dropout(0.1, rngs=rngs)
                self.last = nnx.Linear(16, problem.outputs, rngs=rngs)

            def __call__(self, x):
                return self.last(self.drop(self.norm(nnx.relu(self.first(x)))))

        parameters = {"epochs": 20, "batch_size": 60, "learning_rate": 0.02}
        return {"an object": (Linen(2), parameters), "a class": (Nnx, parameters)}
