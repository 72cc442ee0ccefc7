"""How the recipe ``pytorch`` learns: epochs of steps, each with its own seed, so that it can go on from any of them."""

from __future__ import annotations

import copy
import importlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lepton.core.errors import InvalidInput, LeptonError
from lepton.training.context import TrainingContext
from lepton.training.recipes.building import build_model
from lepton.training.recipes.epochs import step_seed
from lepton.training.recipes.port import Features, Fitted, Material, Problem, Targets, check_loss, parts
from lepton.training.recipes.scale import Scale
from lepton.training.recipes.torch_graph import Answers, graph_of, logits_of, scores_of
from lepton.training.recipes.torch_group import device_of, joined

_BUILDING = 2**32 - 1  # the seed of what is drawn while the network is made: no step has this number


def learn(material: Material, context: TrainingContext, told: Mapping[str, Any], model: object | None) -> Fitted | None:
    """Learn with the other workers; see `lepton.training.recipes.port.Recipe.fit`.

    Raises:
        InvalidInput: if the model is none, does not fit the problem, or a batch does not fit into memory.
        TrainingDataError: if the loss is not finite.
    """
    with quiet_process(context, material.seed), joined(context):
        device = device_of(context)
        network = make_network(material, told, model).to(device)
        scale = Scale.of(material, context)
        training = _Training(material, context, told, network, device, scale)
        try:
            training.run()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise _too_large(training, error) from None
        if context.collective.rank:
            return None
        answers = Answers(training.best_network().cpu(), material.problem, scale.mean, scale.deviation)
        graph = graph_of(answers, material.problem.width)
    return Fitted(graph, scores_of(answers), notes=training.notes())


@contextmanager
def quiet_process(context: TrainingContext, seed: int) -> Iterator[None]:
    """Set threads, seed and determinism as a training needs them, and leave the process as it was."""
    threads, was_strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    devices = [] if context.gpu is None else [context.gpu]
    with torch.random.fork_rng(devices):
        torch.set_num_threads(context.threads)
        if context.gpu is None:  # on GPUs it is slow, and nobody promises the same bits there
            torch.use_deterministic_algorithms(True, warn_only=True)
        torch.manual_seed(step_seed(seed, _BUILDING, 0))
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(was_strict, warn_only=warn_only)


def make_network(material: Material, told: Mapping[str, Any], model: object | None) -> nn.Module:
    """Return the network, a user's own or ours, in float32.

    Raises:
        InvalidInput: if a user's is no network, or has nothing to learn.
    """
    if model is None:
        module = importlib.import_module(f"lepton.training.templates.{told['network']}")
        own = {"hidden": told["hidden"], "dropout": told["dropout"]} if told["network"] == "mlp" else {}
        return cast(nn.Module, _made(lambda: module.build(material.problem, **own)))
    made = _made(lambda: build_model(model, material.problem))
    if not isinstance(made, nn.Module):
        raise InvalidInput(
            f"The model is a {type(made).__name__}. The recipe pytorch takes a torch.nn.Module, its class, or a "
            "function that makes one."
        )
    network: nn.Module = copy.deepcopy(made) if made is model else made  # what a user holds stays as it is
    if not any(weights.requires_grad for weights in network.parameters()):
        raise InvalidInput("The model has no weights to learn; at least one parameter must require a gradient.")
    return cast(nn.Module, network.float())


def _made(make: Callable[[], object]) -> object:
    try:
        return make()
    except LeptonError:
        raise
    except ValueError as error:  # as our templates say that a problem is none of theirs
        raise InvalidInput(f"The model cannot be made for these columns: {error}.") from error


def tensor_of(targets: Targets, scale: Scale, problem: Problem) -> torch.Tensor:
    """Return targets as the loss takes them: int64 for classes, standardized float32 for numbers."""
    return torch.from_numpy(np.array(scale.learned(targets), np.int64 if problem.classes else np.float32))


def loss_of(outputs: object, targets: torch.Tensor, problem: Problem) -> torch.Tensor:
    """Return the mean loss of a batch: cross entropy, or the squared error of the standardized target."""
    answers = logits_of(outputs, problem).float()
    if problem.classes:
        return nn.functional.cross_entropy(answers, targets)
    return nn.functional.mse_loss(answers, targets)


@dataclass
class _Watched:
    """What was best on the rows that are watched, and how long ago."""

    loss: float = math.inf
    epochs_since: int = 0
    weights: dict[str, torch.Tensor] | None = None


@dataclass
class _Training:
    """One training: the network, where it is, and what it has seen."""

    material: Material
    context: TrainingContext
    told: Mapping[str, Any]
    network: nn.Module
    device: torch.device
    scale: Scale
    step: int = 0
    loss_sum: float = 0.0
    rows_seen: float = 0.0
    watched: _Watched = field(default_factory=_Watched)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.optimizer = _make_optimizer(self.network, self.told)
        self.steps = self.material.train.steps(self.told["batch_size"])
        bfloat16 = self.told["precision"] == "bfloat16" or (
            self.told["precision"] == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        self.autocast: Callable[[], Any] = lambda: torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)
        self.shown = -1

    def run(self) -> None:
        """Learn from where the last checkpoint was, until the last epoch, or until it is time to stop."""
        context, told = self.context, self.told
        self._restore()
        trained = self._wrapped()
        for epoch in range(self.step // self.steps, told["epochs"]):
            if self._patience_is_over():
                break
            for features, targets in self.material.train.batches(
                told["batch_size"], epoch=epoch, skip=self.step - epoch * self.steps
            ):
                self._learn_from(trained, features, targets)
                if self.stopped:
                    return
                if self.step % self.steps and context.checkpoints.due(self.step):
                    context.checkpoints.save(self.step, self._state, context.collective)
            metrics = {"loss": self.loss_sum / self.rows_seen}
            self.loss_sum = self.rows_seen = 0.0
            if self.material.valid is not None:
                metrics["valid_loss"] = self._watch()
            context.report(epoch + 1, **metrics)
            if context.checkpoints.due(self.step):
                context.checkpoints.save(self.step, self._state, context.collective)

    def best_network(self) -> nn.Module:
        """Return the network with the weights that are kept."""
        if self.told["patience"] and self.watched.weights is not None:
            self.network.load_state_dict(self.watched.weights)
        return self.network

    def notes(self) -> tuple[str, ...]:
        """Return what is to be said with the model."""
        if self._patience_is_over():
            best = self.step // self.steps - self.watched.epochs_since
            return (f"Stopped early: the loss on the rows that are watched was smallest after epoch {best}.",)
        return ()

    def _learn_from(self, trained: nn.Module, features: Features, targets: Targets) -> None:
        """Take one step; agree with the others on its loss, and on whether to stop."""
        torch.manual_seed(step_seed(self.material.seed, self.step, self.context.collective.rank))
        trained.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            outputs = trained(torch.from_numpy(np.array(features, np.float32)).to(self.device))
        loss = loss_of(outputs, self._wanted(targets), self.material.problem)
        loss.backward()
        self.step += 1
        told = [float(loss.detach()) * len(features), float(len(features)), float(self.context.should_stop())]
        if self.context.collective.world_size > 1:
            shared = torch.tensor(told, dtype=torch.float64, device=self.device)
            dist.all_reduce(shared)
            told = shared.tolist()
        check_loss(told[0] / told[1], self.step)
        if self.told["clip_norm"]:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.told["clip_norm"])
        self.optimizer.step()
        self.loss_sum, self.rows_seen = self.loss_sum + told[0], self.rows_seen + told[1]
        self.stopped = told[2] > 0.0
        self._show()

    def _show(self) -> None:
        done = self.step / (self.steps * self.told["epochs"])
        if self.context.collective.rank == 0 and int(100 * done) != self.shown:
            self.shown = int(100 * done)
            epoch = min((self.step - 1) // self.steps + 1, self.told["epochs"])
            self.context.progress(done, f"epoch {epoch} of {self.told['epochs']}")

    def _watch(self) -> float:
        """Return the mean loss of the rows that are watched, those of all workers, and remember what was best."""
        assert self.material.valid is not None
        size, total = self.told["batch_size"], 0.0
        self.network.eval()
        with torch.no_grad(), self.autocast():
            for features, targets in parts(self.material.valid, size):
                outputs = self.network(torch.from_numpy(np.array(features, np.float32)).to(self.device))
                total += float(loss_of(outputs, self._wanted(targets), self.material.problem)) * len(outputs)
        summed, count = self.context.collective.all_reduce([total, self.material.valid.count]).tolist()
        loss = check_loss(summed / count, self.step)
        self.watched.epochs_since += 1
        if loss < self.watched.loss:
            self.watched.loss, self.watched.epochs_since = loss, 0
            if self.told["patience"]:
                self.watched.weights = {name: w.detach().clone() for name, w in self.network.state_dict().items()}
        return loss

    def _wanted(self, targets: Targets) -> torch.Tensor:
        return tensor_of(targets, self.scale, self.material.problem).to(self.device)

    def _patience_is_over(self) -> bool:
        return bool(0 < self.told["patience"] <= self.watched.epochs_since)

    def _wrapped(self) -> nn.Module:
        """Return what is trained: the network, or with other workers the same behind DDP."""
        if self.context.collective.world_size == 1:
            return self.network
        return DistributedDataParallel(
            self.network,
            device_ids=None if self.context.gpu is None else [self.context.gpu],
            find_unused_parameters=self._leaves_weights_out(),
        )

    def _leaves_weights_out(self) -> bool:
        """Whether some weights have no part in an answer, which DDP must be told; tried on a copy, with one row."""
        network = copy.deepcopy(self.network).eval()
        row = torch.zeros(1, self.material.problem.width, device=self.device)
        logits_of(network(row), self.material.problem).sum().backward()
        return any(weights.requires_grad and weights.grad is None for weights in network.parameters())

    def _state(self) -> bytes:
        buffer = io.BytesIO()
        watched = self.watched
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "seen": [self.loss_sum, self.rows_seen],
                "watched": [watched.loss, float(watched.epochs_since)],
                "best": watched.weights,
            },
            buffer,
        )
        return buffer.getvalue()

    def _restore(self) -> None:
        saved = self.context.checkpoints.restore(self.context.collective)
        if saved is None:
            return
        state = torch.load(io.BytesIO(saved.state), map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_sum, self.rows_seen = state["seen"]
        loss, epochs_since = state["watched"]
        self.watched = _Watched(loss, int(epochs_since), state["best"])
        self.step = saved.step
        self.context.say(f"Going on after step {saved.step}.")


def _make_optimizer(network: nn.Module, told: Mapping[str, Any]) -> torch.optim.Optimizer:
    learned = [weights for weights in network.parameters() if weights.requires_grad]
    how = {"lr": told["learning_rate"], "weight_decay": told["weight_decay"]}
    return torch.optim.AdamW(learned, **how) if told["optimizer"] == "adamw" else torch.optim.SGD(learned, **how)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a batch did not fit into the memory of a GPU or of the machine."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate memory" in words


def _too_large(training: _Training, error: RuntimeError) -> InvalidInput:
    """Return the refusal of a batch that does not fit, with a size that does: halved until a step alone works."""
    asked = size = int(training.told["batch_size"])
    error.__traceback__ = None  # it holds what fills the memory
    training.optimizer.zero_grad(set_to_none=True)
    where = "the processor" if training.device.type == "cpu" else "the GPU"
    network, problem = training.network, training.material.problem
    features, targets = next(training.material.train.blocks())
    while size > 1:
        size //= 2
        if training.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            rows = np.resize(np.arange(len(features)), size)
            with training.autocast():
                outputs = network(torch.from_numpy(features[rows]).to(training.device))
            wanted = tensor_of(targets[rows], training.scale, problem).to(training.device)
            loss_of(outputs, wanted, problem).backward()
        except RuntimeError as again:
            if not is_out_of_memory(again):
                break
            again.__traceback__ = None
            training.optimizer.zero_grad(set_to_none=True)
            continue
        return InvalidInput(
            f"A batch of {asked} rows does not fit into the memory of {where}; {size} rows do. "
            f"Take --param batch_size={size}."
        )
    return InvalidInput(
        f"A batch of {asked} rows does not fit into the memory of {where}. Take a smaller one, or a smaller network."
    )
