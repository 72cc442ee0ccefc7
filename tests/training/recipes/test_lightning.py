"""The recipe `lightning`: the contract of recipes, and modules of users in Lightning's own Trainer."""

from __future__ import annotations

import lightning
import pytest
import torch
from torch import nn

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipes import Killed, Life, MortalCheckpoints, RecipeContract, Story
from lepton.training.checkpoints import Checkpoints
from lepton.training.context import TrainingContext
from lepton.training.recipes.lightning import RECIPE

pytestmark = pytest.mark.usefixtures("onnx_operators_read_once")
FAST = {"epochs": 8, "batch_size": 40}


class Module(lightning.LightningModule):
    """As a user has it: a schedule, dropout, metrics and a validation of its own."""

    def __init__(self, problem):
        super().__init__()
        self.save_hyperparameters()
        self.network = nn.Sequential(
            nn.Linear(problem.width, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, problem.outputs)
        )

    def forward(self, features):
        return self.network(features)

    def training_step(self, batch, batch_idx):
        features, targets = batch
        loss = nn.functional.cross_entropy(self(features), targets)
        self.log("seen_by_me", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        features, targets = batch
        self.log("val_loss", nn.functional.cross_entropy(self(features), targets))
        self.log("right", (self(features).argmax(1) == targets).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.9), "interval": "step"},
        }


class TestLightning(RecipeContract):
    recipe_name = "lightning"
    same_for_workers = 1e-5  # float32, summed in another order, over 8 steps

    def quick(self, task):
        return {**FAST, "learning_rate": 0.01}

    def short(self):
        return {"epochs": 3, "batch_size": 160}

    def whole(self, rows):
        return {"epochs": 8, "batch_size": rows, "learning_rate": 0.01}

    def unknown(self):
        return {"learning_rat": "learning_rate"}

    def early(self):
        return {"epochs": 200, "batch_size": 160, "learning_rate": 0.01, "patience": 3}, 200

    def diverging(self):
        return {"learning_rate": 1e30}

    def models(self):
        return {"a class": (Module, FAST)}

    def long(self):
        return {"epochs": 10**6}


def fit(parameters, model, **how):
    return RECIPE.fit(make_task("binary").material(), TrainingContext(**how), parameters, model)


def test_what_a_module_logs_is_told_and_its_validation_decides():
    story = Story()
    fit({"epochs": 2, "batch_size": 160}, Module, log=story.log)
    assert [sorted(metrics) for _, metrics in story.told] == [
        ["loss", "right", "seen_by_me", "val_loss", "valid_loss"]
    ] * 2
    assert story.values("valid_loss") == story.values("val_loss")


@pytest.mark.parametrize(
    ("model", "parameters", "words"),
    [
        (nn.Linear(7, 2), {}, "The model is a Linear. The recipe lightning takes a lightning.LightningModule"),
        (Module, {"learning_rate": 0.1}, "learning_rate is for a module of ours, and you bring your own"),
    ],
)
def test_what_is_no_module_or_is_not_for_it_is_refused_in_a_sentence(model, parameters, words):
    with pytest.raises(InvalidInput, match=words):
        fit(parameters, model)


def test_a_module_with_a_schedule_goes_on_in_the_middle_of_an_epoch_with_the_same_bits(tmp_path):
    """3 steps an epoch, a checkpoint after every 2nd: killed at the last, it goes on after the 8th of 9."""
    task, how = make_task("binary"), {"epochs": 3, "batch_size": 160}
    expected = fit(how, Module).scores(task.fixed[0])
    mortal = MortalCheckpoints(tmp_path, Life(17), every=2)
    with pytest.raises(Killed):
        fit(how, Module, checkpoints=mortal)
    assert max(int(path.stem.split("-")[1]) for path in tmp_path.iterdir()) % 3
    got = fit(how, Module, checkpoints=Checkpoints(tmp_path, every=2))
    assert got.scores(task.fixed[0]).tobytes() == expected.tobytes()
