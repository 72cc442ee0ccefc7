"""JAX: a network of Flax (nnx or linen), optimized by optax, with the gradients of all workers averaged.

The loop with its checkpoints is in `epochs`; ONNX is written by jax2onnx.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.building import build_model
from lepton.training.recipes.epochs import SETTINGS, Arrays, Plan, learn
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Problem, Scores, Targets
from lepton.training.recipes.scale import Scale

_OPTIMIZERS = ("adamw", "adam", "sgd")
_OPSET = 18
"""Of the standard operators; what every runtime of the last years knows."""


@dataclass(frozen=True)
class Network:
    """A network as functions of its state, whatever library it was written with.

    Attributes:
        weights: What is learned: a tree of arrays.
        statistics: What it keeps beside that, such as means of batches: a tree of arrays.
        call: (weights, statistics, features, key) → (answers, statistics); without a key it does not learn.
    """

    weights: Any
    statistics: Any
    call: Callable[[Any, Any, Any, Any], tuple[Any, Any]]


class JaxRecipe:
    """A network of Flax on tables."""

    name = "jax"
    needs: Sequence[str] = ("jax", "flax", "optax", "jax2onnx")
    parameters: Mapping[str, Any] = SETTINGS

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers; see `Recipe.fit`.

        A user's model is a module of ``flax.nnx`` or ``flax.linen``, or a class or function that makes one. It answers
        logits [n, K], or numbers [n] or [n, 1]. One of linen is told ``train=True``, ``training=True`` or
        ``deterministic=False`` while it learns, if it has a parameter of that name; one of nnx is set by ``train()``
        and ``eval()``.
        """
        chosen = read_parameters(self.parameters, parameters)
        choose("optimizer", chosen["optimizer"], _OPTIMIZERS)
        for name in ("learning_rate", "weight_decay", "dropout"):
            at_least(name, chosen[name], 0.0)
        plan = Plan(chosen["epochs"], chosen["batch_size"], chosen["patience"])
        if context.gpu is None:
            os.environ.setdefault("JAX_PLATFORMS", "cpu")  # else it looks for accelerators, and takes their memory
        import jax

        device = jax.local_devices()[context.gpu] if context.gpu is not None else jax.local_devices(backend="cpu")[0]
        with jax.default_device(device):
            problem = material.problem
            network = _network(_module(model, chosen, material), problem, material.seed)
            scale = Scale.of(material, context)
            learner = JaxLearner(network, problem, scale, chosen, context)
            learn(learner, material, context, plan)
            if context.collective.rank:
                return None
            answer = _answer(learner, problem, scale)
            return Fitted(_export(answer, problem), _scores(answer, problem))


class JaxLearner:
    """A network that learns; see `epochs.Learner`."""

    def __init__(
        self, network: Network, problem: Problem, scale: Scale, chosen: Parameters, context: TrainingContext
    ) -> None:
        import jax
        import optax
        from jax.flatten_util import ravel_pytree

        self._scale, self._collective = scale, context.collective
        self.weights, self.statistics, self.call = network.weights, network.statistics, network.call
        rate, decay = chosen["learning_rate"], chosen["weight_decay"]
        optimizer = {
            "adamw": lambda: optax.adamw(rate, weight_decay=decay),
            "adam": lambda: optax.adam(rate),
            "sgd": lambda: optax.chain(optax.add_decayed_weights(decay), optax.sgd(rate, momentum=0.9)),
        }[chosen["optimizer"]]()
        self._memory = optimizer.init(self.weights)
        # What goes to the other workers: gradients, and the statistics that are not counts or keys.
        _, self._unravel = ravel_pytree((self.weights, _averaged(self.statistics)))

        def mean_loss(weights: Any, statistics: Any, features: Any, targets: Any, key: Any) -> tuple[Any, Any]:
            answers, after = network.call(weights, statistics, features, key)
            return _loss(answers, targets, problem), after

        def gradients(weights: Any, statistics: Any, features: Any, targets: Any, seed: Any) -> tuple[Any, Any, Any]:
            (loss, after), slopes = jax.value_and_grad(mean_loss, has_aux=True)(
                weights, statistics, features, targets, jax.random.key(seed)
            )
            return loss, after, ravel_pytree((slopes, _averaged(after)))[0]

        def update(weights: Any, memory: Any, after: Any, flat: Any) -> tuple[Any, Any, Any]:
            slopes, averaged = self._unravel(flat)
            moves, memory = optimizer.update(slopes, memory, weights)
            return optax.apply_updates(weights, moves), memory, _replaced(after, averaged)

        self._gradients, self._update = jax.jit(gradients), jax.jit(update)
        self._watched = jax.jit(lambda w, s, x, y: mean_loss(w, s, x, y, None)[0])

    def step(self, features: Features, targets: Targets, seed: int) -> float:
        """Take one step on the gradient averaged over all workers; return the mean loss of this worker's batch."""
        loss, after, flat = self._gradients(
            self.weights, self.statistics, features, self._scale.learned(targets), np.uint32(seed)
        )
        workers = self._collective.world_size
        if workers > 1:
            flat = (self._collective.all_reduce(np.asarray(flat)) / workers).astype(np.float32)
        self.weights, self._memory, self.statistics = self._update(self.weights, self._memory, after, flat)
        return float(loss)

    def loss(self, features: Features, targets: Targets) -> float:
        """Return the mean loss of rows without learning from them."""
        return float(self._watched(self.weights, self.statistics, features, self._scale.learned(targets)))

    def state(self) -> Arrays:
        """Return copies of all that steps change."""
        import jax

        leaves = jax.tree.leaves((self.weights, self.statistics, self._memory))
        return {f"{position}": np.array(leaf) for position, leaf in enumerate(leaves)}

    def restore(self, state: Arrays) -> None:
        """Go back to a state."""
        import jax

        leaves, shape = jax.tree.flatten((self.weights, self.statistics, self._memory))
        # NumPy's files know no bfloat16: its bytes come back without a name
        read = [
            jax.numpy.asarray(
                state[f"{position}"].view(leaf.dtype) if leaf.dtype.itemsize == 2 else state[f"{position}"]
            )
            for position, leaf in enumerate(leaves)
        ]
        self.weights, self.statistics, self._memory = jax.tree.unflatten(shape, read)


def _module(model: object | None, chosen: Parameters, material: Material) -> object:
    """Return the user's module, or ours."""
    if model is not None:
        return build_model(model, material.problem)
    from flax import nnx
    from flax.nnx import relu

    rngs = nnx.Rngs(material.seed)
    layers: list[Any] = []
    width = material.problem.width
    for units in chosen["hidden"]:
        at_least("hidden", units, 1)
        layers += [nnx.Linear(width, units, rngs=rngs), relu]
        if chosen["dropout"]:
            layers.append(nnx.Dropout(chosen["dropout"], rngs=rngs))
        width = units
    return nnx.Sequential(*layers, nnx.Linear(width, material.problem.outputs, rngs=rngs))


def _network(module: object, problem: Problem, seed: int) -> Network:
    """Return a module as functions, having looked at what it answers.

    Raises:
        InvalidInput: if it is no module of Flax, or answers something else than the problem asks for.
    """
    import flax.linen
    import jax
    from flax import nnx

    if isinstance(module, nnx.Module):
        network = _of_nnx(module)
    elif isinstance(module, flax.linen.Module):
        network = _of_linen(module, problem, seed)
    else:
        raise InvalidInput(
            f"The recipe jax learns a module of flax.nnx or flax.linen, not {type(module).__name__}. Give such a "
            "module, or a class or function that makes one."
        )
    given = jax.ShapeDtypeStruct((3, problem.width), np.float32)
    try:
        shape = jax.eval_shape(lambda x: network.call(network.weights, network.statistics, x, None)[0], given).shape
    except (TypeError, ValueError) as error:  # shapes that do not fit: Flax and JAX say so with these
        raise InvalidInput(
            f"The model cannot be called with a matrix of {problem.width} columns ({type(error).__name__}). Make it "
            "take float32 [n, width] of the problem."
        ) from error
    allowed = ((3, problem.outputs),) if problem.classes else ((3,), (3, 1))
    if shape not in allowed:
        wanted = f"logits [n, {problem.outputs}]" if problem.classes else "numbers [n] or [n, 1]"
        raise InvalidInput(f"The model answers 3 rows with the shape {list(shape)}; make it answer {wanted}.")
    return network


def _of_nnx(module: Any) -> Network:
    import jax
    from flax import nnx

    # A class knows whether it learns: two definitions of one network
    module.train()
    learning, weights, keys, statistics = nnx.split(module, nnx.Param, nnx.RngState, ...)
    module.eval()
    settled = nnx.graphdef(module)

    def call(weights: Any, statistics: Any, features: Any, key: Any) -> tuple[Any, Any]:
        if key is None:
            return nnx.merge(settled, weights, keys, statistics)(features), statistics
        fresh = jax.tree.map(lambda leaf: leaf, statistics)  # it writes into them, which only their own trace may
        network = nnx.merge(learning, weights, _folded(keys, key), fresh)
        answers = network(features)
        return answers, nnx.split(network, nnx.Param, nnx.RngState, ...)[3]

    return Network(weights, statistics, call)


def _folded(keys: Any, key: Any) -> Any:
    """Return the keys of a network, made new for a step; counts are left as they are."""
    import jax

    def fold(leaf: Any) -> Any:
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return jax.random.fold_in(leaf, jax.random.bits(key))

    return jax.tree.map(fold, keys)


def _of_linen(module: Any, problem: Problem, seed: int) -> Network:
    import jax

    names = inspect.signature(type(module).__call__).parameters
    learning: dict[str, bool] = {name: True for name in ("train", "training") if name in names}
    settled: dict[str, bool] = dict.fromkeys(learning, False)
    if "deterministic" in names:
        learning["deterministic"], settled["deterministic"] = False, True
    made = dict(module.init(jax.random.key(seed), np.zeros((1, problem.width), np.float32), **settled))
    weights = made.pop("params", {})

    def call(weights: Any, statistics: Any, features: Any, key: Any) -> tuple[Any, Any]:
        if key is None:
            return module.apply({"params": weights, **statistics}, features, **settled), statistics
        answers, after = module.apply(
            {"params": weights, **statistics}, features, **learning, rngs={"dropout": key}, mutable=list(statistics)
        )
        return answers, dict(after)

    return Network(weights, made, call)


def _averaged(statistics: Any) -> list[Any]:
    """Return the statistics that are averaged over workers: those with fractions."""
    import jax
    from jax import numpy as jnp

    return [leaf for leaf in jax.tree.leaves(statistics) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _replaced(statistics: Any, averaged: list[Any]) -> Any:
    """Return statistics with those that are averaged put in."""
    import jax
    from jax import numpy as jnp

    queue = iter(averaged)
    return jax.tree.map(lambda leaf: next(queue) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, statistics)


def _loss(answers: Any, targets: Any, problem: Problem) -> Any:
    """Return the mean cross-entropy of logits [n, K], or the mean squared error of numbers [n] or [n, 1]."""
    import optax

    if problem.classes:
        return optax.softmax_cross_entropy_with_integer_labels(answers, targets).mean()
    return ((answers.reshape(-1) - targets) ** 2).mean()


def _answer(learner: JaxLearner, problem: Problem, scale: Scale) -> Callable[[Any], Any]:
    """Return what the graph is made of: features → probabilities, or numbers in the target's own scale [n, 1]."""
    import jax

    weights, statistics, call = learner.weights, learner.statistics, learner.call

    def answer(features: Any) -> Any:
        answers, _ = call(weights, statistics, features, None)
        if problem.classes:
            return jax.nn.softmax(answers, axis=-1)
        return answers.reshape((-1, 1)) * np.float32(scale.deviation) + np.float32(scale.mean)

    return answer


def _scores(answer: Callable[[Any], Any], problem: Problem) -> Callable[[Features], Scores]:
    import jax

    compiled = jax.jit(answer)

    def scores(features: Features) -> Scores:
        found = np.asarray(compiled(features), dtype=np.float64)
        return found if problem.classes else found.reshape(-1)

    return scores


def _export(answer: Callable[[Any], Any], problem: Problem) -> bytes:
    with warnings.catch_warnings():
        # jax2onnx reads the variables of Flax by a way that Flax wants to give up
        warnings.simplefilter("ignore", DeprecationWarning)
        import jax2onnx

        _load_converters()
        graph = jax2onnx.to_onnx(answer, inputs=[("rows", problem.width)], opset=_OPSET, input_names=["features"])
    return bytes(graph.SerializeToString())


def _load_converters() -> None:
    """Load what jax2onnx knows of JAX and Flax.

    Left alone, it loads what it knows of equinox too, which builds and compiles networks on import: many seconds. Both
    names are its own affairs; where they are gone, it does that.
    """
    from jax2onnx.plugins import plugin_system

    load = getattr(plugin_system, "_import_tree", None)
    if load is None or getattr(plugin_system, "_already_imported_plugins", None) is not False:
        return
    unused = {"examples", "__pycache__"} | ({"equinox"} - set(sys.modules))
    root = Path(plugin_system.__file__).parent
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and folder.name not in unused:
            load(folder, f"jax2onnx.plugins.{folder.name}")
    plugin_system._already_imported_plugins = True


RECIPE = JaxRecipe()
