"""Keras 3 on the back end that is there: TensorFlow, PyTorch or JAX.

The loop with its checkpoints is in `epochs`; what a network answers, and how it becomes a graph, in `keras_answers`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.training.collective import Collective
from lepton.training.context import TrainingContext
from lepton.training.recipes.building import build_model
from lepton.training.recipes.epochs import SETTINGS, Arrays, Plan, learn
from lepton.training.recipes.keras_answers import Answers, export, look, make_answer, make_scores
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Problem, Targets
from lepton.training.recipes.scale import Scale

_BACK_ENDS = ("tensorflow", "torch", "jax")
_OPTIMIZERS = ("adamw", "adam", "sgd")
_PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
_COMPILED = ("learning_rate", "weight_decay", "optimizer")
"""Parameters that a user who has compiled the model has decided."""


class KerasRecipe:
    """A network of Keras on tables."""

    name = "keras"
    needs: Sequence[str] = ("keras",)
    parameters: Mapping[str, Any] = MappingProxyType({**SETTINGS, "precision": "auto"})

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers; see `Recipe.fit`.

        A user's model is a ``keras.Model``, or a class or function that makes one. It answers logits or probabilities
        [n, K], for two classes also [n, 1], or numbers [n] or [n, 1]. One that is compiled keeps its optimizer and its
        loss, and learns numbers in their own scale; else those are chosen here, and numbers are scaled for it.
        """
        chosen = read_parameters(self.parameters, parameters)
        choose("optimizer", chosen["optimizer"], _OPTIMIZERS)
        choose("precision", chosen["precision"], (*_PRECISIONS, "auto"))
        for name in ("learning_rate", "weight_decay", "dropout"):
            at_least(name, chosen[name], 0.0)
        plan = Plan(chosen["epochs"], chosen["batch_size"], chosen["patience"])
        back_end = _start(context)
        import keras

        keras.utils.set_random_seed(material.seed)

        def make() -> Any:
            return _ours(material.problem, chosen) if model is None else _theirs(model, material.problem)

        precision = chosen["precision"]
        if precision == "auto":
            precision = "float32" if context.gpu is None else "bfloat16"
        with keras.device("cpu" if context.gpu is None else f"gpu:{context.gpu}"):
            with _policy(_PRECISIONS[precision]):
                network = make()
                answers = look(network, material)
                scale = _prepare(network, answers, material, context, chosen, parameters)
            if back_end == "tensorflow" and (context.gpu is None or context.collective.world_size > 1):
                network.jit_compile = False  # XLA cannot ask the other workers; on a CPU it takes longer than it saves
            with _averaged_gradients(network, context.collective):
                learn(KerasLearner(network, answers, scale, context.collective), material, context, plan)
            if context.collective.rank:
                return None
            if precision != "float32" and (exact := make()) is not network:  # graphs are written in float32
                exact(np.zeros((2, material.problem.width), np.float32))
                exact.set_weights(network.get_weights())
                network = exact
            answer = make_answer(network, answers, material.problem, scale)
            return Fitted(export(answer), make_scores(answer, material.problem))


class KerasLearner:
    """A compiled network that learns; see `epochs.Learner`."""

    def __init__(self, network: Any, answers: Answers, scale: Scale, collective: Collective) -> None:
        self._network, self._answers, self._scale, self._collective = network, answers, scale, collective
        network.optimizer.build(network.trainable_variables)
        drawn = [variable for variable in network.variables if variable.path.endswith("seed_generator_state")]
        self._seeds = drawn
        seeds = {id(variable) for variable in drawn}
        self._variables = [
            variable for variable in (*network.variables, *network.optimizer.variables) if id(variable) not in seeds
        ]
        self._statistics = [variable for variable in network.non_trainable_variables if "float" in str(variable.dtype)]

    def step(self, features: Features, targets: Targets, seed: int) -> float:
        """Take one step on the gradient averaged over all workers; return the mean loss of this worker's batch."""
        for variable in self._seeds:
            variable.assign(np.array([seed, 0], dtype=np.int64).astype(str(variable.dtype)))
        told = self._network.train_on_batch(
            features, self._answers.targets(self._scale.learned(targets)), return_dict=True
        )
        self._average_statistics()
        return float(told["loss"])

    def loss(self, features: Features, targets: Targets) -> float:
        """Return the mean loss of rows without learning from them."""
        self._network.reset_metrics()
        expected = self._answers.targets(self._scale.learned(targets))
        return float(self._network.test_on_batch(features, expected, return_dict=True)["loss"])

    def state(self) -> Arrays:
        """Return copies of all that steps change."""
        return {f"{position}": _read(variable) for position, variable in enumerate(self._variables)}

    def restore(self, state: Arrays) -> None:
        """Go back to a state."""
        for position, variable in enumerate(self._variables):
            variable.assign(state[f"{position}"])

    def _average_statistics(self) -> None:
        """Average what batches leave beside the weights, such as means: workers have seen other batches."""
        if self._collective.world_size == 1:
            return
        for variable in self._statistics:
            total = self._collective.all_reduce(_read(variable))
            variable.assign((total / self._collective.world_size).astype(np.float32))


def _read(variable: Any) -> Any:
    """Return a copy of a variable as an array."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return np.array(variable.value.numpy())  # Keras' own way asks NumPy for what TensorFlow's variables do not know
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _start(context: TrainingContext) -> str:
    """Import Keras with the back end that is asked for in KERAS_BACKEND, or the first one that is there."""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        there = [name for name in _BACK_ENDS if importlib.util.find_spec(name) is not None]
        if not there:
            raise InvalidInput(
                "Keras has no back end where the run works. Install one there: "
                "pip install 'lepton-platform[tensorflow]'"
            )
        os.environ["KERAS_BACKEND"] = there[0]
    # Its C++ side writes what it found on this machine to the log of every worker; errors are still told
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    back_end = str(keras.backend.backend())
    if back_end == "torch":
        import torch

        torch.set_num_threads(context.threads)
    elif back_end == "tensorflow":
        import tensorflow as tf

        with suppress(RuntimeError):  # it has begun already, with what it was told then
            tf.config.threading.set_intra_op_parallelism_threads(context.threads)
            gpus = tf.config.list_physical_devices("GPU")
            if context.gpu is None:
                tf.config.set_visible_devices([], "GPU")  # else it takes the memory of all of them
            else:
                tf.config.experimental.set_memory_growth(gpus[context.gpu], True)
    return back_end


@contextmanager
def _policy(name: str) -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _ours(problem: Problem, chosen: Parameters) -> Any:
    """Return a perceptron; its layers have names, so that two of them are alike."""
    import keras

    layers: list[Any] = [keras.layers.Input((problem.width,), name="features")]
    for position, units in enumerate(chosen["hidden"]):
        at_least("hidden", units, 1)
        layers.append(keras.layers.Dense(units, activation="relu", name=f"hidden_{position}"))
        if chosen["dropout"]:
            layers.append(keras.layers.Dropout(chosen["dropout"], name=f"dropout_{position}"))
    return keras.Sequential([*layers, keras.layers.Dense(problem.outputs, name="answer")], name="perceptron")


def _theirs(model: object, problem: Problem) -> Any:
    import keras

    made = build_model(model, problem)
    if not isinstance(made, keras.Model):
        raise InvalidInput(
            f"The recipe keras learns a keras.Model, not {type(made).__name__}. Give such a model, or a class or "
            "function that makes one."
        )
    return made


def _prepare(
    network: Any,
    answers: Answers,
    material: Material,
    context: TrainingContext,
    chosen: Parameters,
    parameters: Parameters,
) -> Scale:
    """Compile the network, if its user has not; return the scale in which it learns numbers."""
    import keras

    if network.compiled:
        if decided := [name for name in _COMPILED if name in parameters]:
            raise InvalidInput(
                f"The model is compiled with an optimizer of its own, so {decided[0]} has no meaning. Leave it "
                "out, or give a model that is not compiled."
            )
        return Scale()
    rate, decay = chosen["learning_rate"], chosen["weight_decay"]
    optimizers: dict[str, Callable[[], Any]] = {
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=decay),
        "adam": lambda: keras.optimizers.Adam(rate),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay),
    }
    network.compile(optimizer=optimizers[chosen["optimizer"]](), loss=answers.loss())
    return Scale.of(material, context)


@contextmanager
def _averaged_gradients(network: Any, collective: Collective) -> Iterator[None]:
    """Let a network's optimizer apply the mean of all workers' gradients.

    Whatever computes them, the step of Keras or one that a user has written, they are applied by ``apply``.
    """
    if collective.world_size == 1:
        yield
        return
    import keras

    optimizer = network.optimizer
    apply = optimizer.apply

    def mean(flat: Any) -> Any:
        return (collective.all_reduce(np.asarray(flat)) / collective.world_size).astype(np.float32)

    def apply_mean(grads: Any, trainable_variables: Any = None) -> Any:
        slopes = [slope if slope is None else _dense(slope) for slope in grads]
        known = [slope for slope in slopes if slope is not None]
        flat = keras.ops.concatenate([keras.ops.reshape(keras.ops.cast(slope, "float32"), (-1,)) for slope in known])
        shared, first = _outside(mean, flat), 0
        for position, slope in enumerate(slopes):
            if slope is not None:
                shape = tuple(slope.shape)
                size = int(np.prod(shape))
                part = keras.ops.reshape(shared[first : first + size], shape)
                slopes[position], first = keras.ops.cast(part, slope.dtype), first + size
        return apply(slopes, trainable_variables)

    optimizer.apply = apply_mean
    network.train_function = None  # one that was compiled before applies this worker's alone
    try:
        yield
    finally:
        del optimizer.apply
        network.train_function = None


def _dense(slope: Any) -> Any:
    """Return a gradient as a whole array: TensorFlow gives those of embeddings by row."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor(slope)
    return slope


def _outside(function: Callable[[Any], Any], flat: Any) -> Any:
    """Call a function of arrays out of the graph that the back end has made of a step; float32 [n] → float32 [n]."""
    import keras

    back_end = keras.backend.backend()
    if back_end == "tensorflow":
        import tensorflow as tf

        told = tf.numpy_function(function, [flat], tf.float32)
        told.set_shape(flat.shape)
        return told
    if back_end == "jax":
        import jax
        from jax.experimental import io_callback

        return io_callback(function, jax.ShapeDtypeStruct(flat.shape, flat.dtype), flat, ordered=True)
    import torch

    return torch.from_numpy(function(flat.detach().cpu().numpy())).to(flat.device)


RECIPE = KerasRecipe()
