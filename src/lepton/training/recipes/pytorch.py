"""PyTorch: a network of ours or of a user, trained by one worker or by several with DDP. This file does not load it.

The learning is in ``torch_learning.py``, the processes in ``torch_group.py``, the ONNX graph in ``torch_graph.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Fitted, Material, Parameters
from lepton.training.templates import TEMPLATES

DEFAULTS: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 0.001,
    "weight_decay": 0.01,
    "optimizer": "adamw",
    "clip_norm": 0.0,
    "patience": 5,
    "precision": "auto",
    "network": "mlp",
    "hidden": (128, 64),
    "dropout": 0.0,
}
"""``batch_size`` is that of one worker; ``patience``: how many epochs may pass without a smaller loss on the rows that
are watched, 0 for any number; ``clip_norm``: the longest a gradient may be, 0 for any length; ``network``, ``hidden``
and ``dropout`` are for a network of ours, the last two for ``mlp``."""
OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("auto", "float32", "bfloat16")


class PyTorch:
    """The recipe ``pytorch``.

    A user's model is a ``torch.nn.Module``, its class, or a function that makes one. It takes float32 [n, width] and
    answers logits [n, K] for K classes (or [n] or [n, 1] for two), or numbers [n] or [n, 1].
    """

    name: str = "pytorch"
    needs: Sequence[str] = ("torch", "onnxscript")
    parameters: Mapping[str, Any] = DEFAULTS

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn by gradient descent; see `lepton.training.recipes.port.Recipe.fit`."""
        told = read_settings(parameters, own=model is None)
        from lepton.training.recipes import torch_learning

        return torch_learning.learn(material, context, told, model)


def read_settings(parameters: Parameters, *, own: bool) -> dict[str, Any]:
    """Return all parameters, checked; `own`: whether the network is ours.

    Raises:
        InvalidInput: if one is unknown, out of range, or for a network of ours while the user brings one.
    """
    told = read_parameters(DEFAULTS, parameters)
    for name, least in {"epochs": 1, "batch_size": 1, "weight_decay": 0, "clip_norm": 0, "patience": 0}.items():
        at_least(name, told[name], least)
    if told["learning_rate"] <= 0.0:
        raise InvalidInput(f"The parameter learning_rate is {told['learning_rate']:g}; it must be more than 0.")
    if not 0.0 <= told["dropout"] < 1.0:
        raise InvalidInput(f"The parameter dropout is {told['dropout']:g}; it must be 0 or more, and less than 1.")
    if any(width < 1 for width in told["hidden"]):
        raise InvalidInput(f"The parameter hidden is {told['hidden']}; each width must be 1 or more.")
    choose("optimizer", told["optimizer"], OPTIMIZERS)
    choose("precision", told["precision"], PRECISIONS)
    choose("network", told["network"], tuple(TEMPLATES))
    ours = [name for name in ("network", "hidden", "dropout") if name in parameters]
    if ours and not own:
        raise InvalidInput(
            f"The parameter {ours[0]} is for a network of ours, and you bring your own: leave it out, and say it in "
            "your model."
        )
    inside = [name for name in ("hidden", "dropout") if name in parameters and told["network"] != "mlp"]
    if inside:
        raise InvalidInput(
            f"The parameter {inside[0]} is for the network mlp. Copy the template {told['network']}, change it there "
            "and bring it as your own model."
        )
    return told


RECIPE = PyTorch()
