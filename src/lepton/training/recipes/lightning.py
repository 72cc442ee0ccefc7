"""Lightning: a user's LightningModule, trained by Lightning's own Trainer. This file does not load it.

What happens beside Trainer's loop (metrics, early stopping, checkpoints) is in ``lightning_watch.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.epochs import Plan
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Fitted, Material, Parameters

DEFAULTS: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 128,
    "learning_rate": 0.001,
    "clip_norm": 0.0,
    "patience": 5,
    "precision": "auto",
}
"""As in the recipe ``pytorch``; ``learning_rate`` is for our own module, a user's says its own."""


class Lightning:
    """The recipe ``lightning``.

    A user's model is a ``lightning.LightningModule``, its class, or a function that makes one. Its ``training_step``
    gets a pair: float32 [n, width], and int64 [n] for classes or standardized float32 [n] for numbers. Its ``forward``
    takes the first alone and answers logits [n, K], or numbers [n] or [n, 1]. What it logs as ``valid_loss`` or
    ``val_loss`` decides on early stopping; without that, cross entropy or squared error does.
    """

    name: str = "lightning"
    needs: Sequence[str] = ("torch", "lightning", "onnxscript")
    parameters: Mapping[str, Any] = DEFAULTS

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Let Trainer learn; see `lepton.training.recipes.port.Recipe.fit`."""
        told = read_parameters(DEFAULTS, parameters)
        choose("precision", told["precision"], ("auto", "float32", "bfloat16"))
        at_least("clip_norm", told["clip_norm"], 0.0)
        at_least("learning_rate", told["learning_rate"], 0.0)
        if model is not None and "learning_rate" in parameters:
            raise InvalidInput(
                "The parameter learning_rate is for a module of ours, and you bring your own: say it in its "
                "configure_optimizers."
            )
        plan = Plan(told["epochs"], told["batch_size"], told["patience"])
        from lepton.training.recipes import lightning_watch

        return lightning_watch.learn(material, context, plan, told, model)


RECIPE = Lightning()
