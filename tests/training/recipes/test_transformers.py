"""The recipe transformers, by the contract of all recipes, on texts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipes import RecipeContract, graph_answers
from lepton.training.context import TrainingContext
from lepton.training.recipes.known import find
from lepton.training.recipes.port import Block, Material, Parameters, Part, Problem

TINY = {"hidden_size": 16, "layers": 1, "learning_rate": 0.01, "dropout": 0.0}


@pytest.mark.usefixtures("onnx_operators_read_once")
class TestTransformers(RecipeContract):
    recipe_name = "transformers"
    tasks = "words "
    # gradients are averaged in float32 by DDP, and Adam divides small ones by themselves
    same_for_workers = 1e-2

    def quick(self, task: str) -> Parameters:
        return {"epochs": 20, "batch_size": 48, **TINY}

    def short(self) -> Parameters:
        return {"epochs": 3, "batch_size": 160, **TINY, "dropout": 0.1}

    def whole(self, rows: int) -> Parameters:
        return {"epochs": 15, "batch_size": rows, **TINY}

    def early(self) -> tuple[Parameters, int]:
        return {"epochs": 150, "batch_size": 160, "patience": 3, **TINY}, 150

    def diverging(self) -> Parameters:
        return {**TINY, "learning_rate": 1e30}

    def long(self) -> Parameters:
        return {"epochs": 100_000, "patience": 0, **TINY}

    def unknown(self) -> Mapping[str, str]:
        return {"learning_rat": "learning_rate"}

    def models(self) -> Mapping[str, tuple[object, Parameters]]:
        import transformers

        config = transformers.DistilBertConfig(
            vocab_size=20, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=8, pad_token_id=0
        )

        def network(problem):
            return transformers.ElectraForSequenceClassification(
                transformers.ElectraConfig(
                    vocab_size=20,
                    embedding_size=16,
                    hidden_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    intermediate_size=32,
                    max_position_embeddings=8,
                    num_labels=problem.classes,
                )
            )

        parameters = {"epochs": 20, "batch_size": 48, "learning_rate": 0.01}
        return {"a configuration": (config, parameters), "a function of a model": (network, parameters)}


def fit(problem, features, targets, **parameters):
    material = Material(problem, Part(features, targets), None)
    return find("transformers").fit(material, TrainingContext(), {**TINY, **parameters}, None)


@pytest.mark.usefixtures("onnx_operators_read_once")
def test_two_texts_are_read_together_beside_columns_that_are_not_used_and_empty_texts_have_an_answer():
    """The words of the second text count, though they have the numbers of words of the first."""
    random = np.random.default_rng(0)
    features = random.integers(1, 4, size=(200, 5)).astype(np.float32)
    targets = (features[:, 4] == 2).astype(np.int64)
    blocks = (Block("a", "tokens", 0, 2, 4), Block("x", "number", 2, 1), Block("b", "tokens", 3, 2, 4))
    fitted = fit(Problem(blocks, 2), features, targets, epochs=15)
    assert (fitted.scores(features).argmax(axis=1) == targets).mean() > 0.95
    assert any("x" in note for note in fitted.notes)
    empty = np.zeros((2, 5), np.float32)
    # the same calculation in float32, in another order
    assert np.abs(graph_answers(fitted.graph, empty) - fitted.scores(empty)).max() < 1e-5


def test_a_table_without_texts_is_refused_with_what_to_do():
    task = make_task("binary")
    with pytest.raises(InvalidInput, match="there is no column of words in their order"):
        fit(task.problem, *task.train)
