"""What a network of Keras answers, logits, probabilities or numbers, and the graph that is made of it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.training.recipes.graph_names import name_in_order
from lepton.training.recipes.port import Features, Material, Problem, Scores
from lepton.training.recipes.scale import Scale

_LOOKED_AT = 64
_ROWS = 4096


@dataclass(frozen=True)
class Answers:
    """What a network answers for a row.

    Attributes:
        classes: Number of classes; None: a number.
        single: Whether two classes are answered by one number, that of the second.
        shares: Whether these are probabilities; else logits.
        one_hot: Whether the loss wants classes as 0 and 1 for each.
        flat: Whether numbers come as [n]; else as [n, 1].
    """

    classes: int | None
    single: bool = False
    shares: bool = False
    one_hot: bool = False
    flat: bool = False

    def targets(self, targets: Any) -> Any:
        """Return targets as the loss wants them."""
        if self.one_hot and self.classes:
            return np.eye(self.classes, dtype=np.float32)[targets]
        if self.classes and not self.single:
            return targets
        numbers = np.asarray(targets, dtype=np.float32)
        return numbers if self.flat else numbers.reshape(-1, 1)

    def loss(self) -> Any:
        """Return the loss for a network that comes without one."""
        import keras

        if self.classes is None:
            return keras.losses.MeanSquaredError()
        if self.single:
            return keras.losses.BinaryCrossentropy(from_logits=not self.shares)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=not self.shares)


def look(network: Any, material: Material) -> Answers:
    """Call a network with some rows, which also builds it, and tell what it answers.

    Raises:
        InvalidInput: if it cannot be called with these, or answers something else than the problem asks for.
    """
    import keras

    problem = material.problem
    rows = next(material.train.blocks())[0][:_LOOKED_AT]
    try:
        found = keras.ops.convert_to_numpy(keras.ops.cast(network(rows, training=False), "float32"))
    except (TypeError, ValueError) as error:  # shapes that do not fit: Keras says so with these
        raise InvalidInput(
            f"The model cannot be called with a matrix of {problem.width} columns ({type(error).__name__}). Make it "
            "take float32 [n, width] of the problem."
        ) from error
    shape, one_hot = found.shape, _one_hot(network)
    flat = shape == (len(rows),)
    if problem.classes is None and (flat or shape == (len(rows), 1)):
        return Answers(None, flat=flat)
    if problem.classes and shape == (len(rows), problem.classes):
        shares = bool((found >= 0).all() and np.abs(found.sum(axis=1) - 1.0).max() < 1e-3)
        return Answers(problem.classes, shares=shares, one_hot=one_hot)
    if problem.classes == 2 and (flat or shape == (len(rows), 1)):
        return Answers(2, single=True, shares=_sigmoid(network, found), flat=flat)
    wanted = (f"logits or probabilities [n, {problem.classes}]" if problem.classes else "numbers [n] or [n, 1]") + (
        ", or one of them [n, 1]" if problem.classes == 2 else ""
    )
    raise InvalidInput(f"The model answers {len(rows)} rows with the shape {list(shape)}; make it answer {wanted}.")


def make_answer(network: Any, answers: Answers, problem: Problem, scale: Scale) -> Any:
    """Return a network that answers probabilities [n, K], or numbers [n, 1] in the target's own scale."""
    import keras

    given = keras.Input((problem.width,), name="rows", dtype="float32")
    found = keras.ops.cast(network(given, training=False), "float32")
    if answers.classes is None:
        found = keras.ops.reshape(found, (-1, 1)) * scale.deviation + scale.mean
    elif answers.single:
        second = keras.ops.reshape(found, (-1, 1))
        second = second if answers.shares else keras.ops.sigmoid(second)
        found = keras.ops.concatenate([1.0 - second, second], axis=1)
    elif not answers.shares:
        found = keras.ops.softmax(found, axis=-1)
    answer = keras.Model(given, found, name="answer_of_rows")
    answer(np.zeros((2, problem.width), np.float32))  # Keras exports what has been called
    return answer


def make_scores(answer: Any, problem: Problem) -> Callable[[Features], Scores]:
    """Return the framework's own scores; see `Fitted.scores`."""
    import keras

    def scores(features: Features) -> Scores:
        parts = [
            keras.ops.convert_to_numpy(answer(features[first : first + _ROWS], training=False))
            for first in range(0, len(features), _ROWS)
        ]
        found = np.concatenate(parts).astype(np.float64)
        return found if problem.classes else found.reshape(-1)

    return scores


def export(answer: Any) -> bytes:
    """Return a network as an ONNX graph, by the way of its back end."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx asks NumPy for old names, PyTorch's tracer speaks of its own code
        path = Path(folder) / "graph.onnx"
        answer.export(str(path), format="onnx", verbose=False)
        return name_in_order(path.read_bytes())


def _one_hot(network: Any) -> bool:
    """Whether the loss of a compiled network wants classes as 0 and 1 for each."""
    loss = network.loss if network.compiled else None
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    return "categorical" in str(name).lower() and "sparse" not in str(name).lower()


def _sigmoid(network: Any, found: Any) -> bool:
    """Whether a number for each row is a probability; its loss says so, or else the function of its last layer."""
    if network.compiled:
        return not getattr(network.loss, "from_logits", False)
    last = network.layers[-1] if network.layers else network
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    return activation == "sigmoid" and bool(((found >= 0) & (found <= 1)).all())
