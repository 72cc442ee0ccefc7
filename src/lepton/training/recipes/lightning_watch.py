"""What happens beside Lightning's own loop: rows in order, metrics, early stopping, checkpoints that all share."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.building import build_model
from lepton.training.recipes.epochs import Cursor, Plan, pack, step_seed, unpack
from lepton.training.recipes.port import Features, Fitted, Material, Problem, Rows, Targets, check_loss, parts
from lepton.training.recipes.scale import Scale
from lepton.training.recipes.torch_graph import Answers, graph_of, scores_of
from lepton.training.recipes.torch_group import joined
from lepton.training.recipes.torch_learning import is_out_of_memory, loss_of, quiet_process, tensor_of
from lepton.training.templates.mlp import build as build_mlp

_ROWS = 1024
_VALID_LOSS = ("valid_loss", "val_loss")


def learn(
    material: Material, context: TrainingContext, plan: Plan, told: Mapping[str, Any], model: object | None
) -> Fitted | None:
    """Let Trainer learn, from the last checkpoint if there is one; see `lepton.training.recipes.port.Recipe.fit`."""
    with quiet_process(context, material.seed), joined(context), tempfile.TemporaryDirectory() as folder:
        module = _make(model, material.problem, told)
        scale = Scale.of(material, context)
        watch = Watch(module, scale, material, context, plan, Path(folder))
        try:
            with _quiet():
                _train(watch, told)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise InvalidInput(
                f"A batch of {plan.batch_size} rows does not fit into memory. Take half: "
                f"--param batch_size={max(1, plan.batch_size // 2)}."
            ) from None
        watch.keep_best()
        if context.collective.rank:
            return None
        module.eval()
        answers = Answers(module.cpu().float(), material.problem, scale.mean, scale.deviation)
        return Fitted(graph_of(answers, material.problem.width), scores_of(answers))


def _train(watch: Watch, told: Mapping[str, Any]) -> None:
    context, plan, module = watch.context, watch.plan, watch.module
    saved = watch.restore()
    if watch.cursor.over or watch.cursor.step >= plan.epochs * watch.steps:
        return
    bfloat16 = told["precision"] == "bfloat16" or (
        told["precision"] == "auto" and context.gpu is not None and torch.cuda.is_bf16_supported()
    )
    workers: dict[str, Any] = {}
    if context.collective.world_size > 1:
        workers = {
            "strategy": DDPStrategy(process_group_backend="gloo" if context.gpu is None else "nccl"),
            "plugins": [_Workers(context)],
            "num_nodes": context.collective.world_size,  # each with one device: its own
        }
    trainer = lightning.Trainer(
        accelerator="cpu" if context.gpu is None else "gpu",
        devices=1 if context.gpu is None else [context.gpu],
        max_epochs=plan.epochs,
        precision="bf16-mixed" if bfloat16 else "32-true",
        gradient_clip_val=told["clip_norm"] or None,
        callbacks=[watch],
        default_root_dir=str(watch.folder),
        deterministic="warn" if context.gpu is None else False,
        use_distributed_sampler=False,  # each worker has its own rows already
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **workers,
    )
    watches = type(module).validation_step is not lightning.LightningModule.validation_step
    valid = watch.material.valid
    trainer.fit(
        module,
        _TrainLoader(watch),
        _ValidLoader(watch, valid) if watches and valid is not None else None,
        ckpt_path=saved,
        weights_only=True,
    )


def _make(model: object | None, problem: Problem, told: Mapping[str, Any]) -> Any:
    """Return the module, a user's or ours."""
    if model is None:
        return _Mlp(problem, told["learning_rate"])
    made = build_model(model, problem)
    if not isinstance(made, lightning.LightningModule):
        raise InvalidInput(
            f"The model is a {type(made).__name__}. The recipe lightning takes a lightning.LightningModule, its class, "
            "or a function that makes one."
        )
    return copy.deepcopy(made) if made is model else made  # what a user holds stays as it is


class Watch(lightning.Callback):
    """Follows a training, and keeps what is to be kept."""

    def __init__(
        self, module: Any, scale: Scale, material: Material, context: TrainingContext, plan: Plan, folder: Path
    ) -> None:
        self.module, self.scale, self.material = module, scale, material
        self.context, self.plan, self.folder = context, plan, folder
        self.cursor = Cursor()
        self.steps = material.train.steps(plan.batch_size)
        self._best: bytes | None = None

    def restore(self) -> str | None:
        """Read the last checkpoint; return the file from which Trainer goes on, None at the beginning."""
        found = self.context.checkpoints.restore(self.context.collective)
        if found is None:
            return None
        arrays, facts = unpack(found.state)
        self.cursor = Cursor(**facts)
        self._best = arrays["best"].tobytes() if "best" in arrays else None
        path = self.folder / "restored.ckpt"
        path.write_bytes(arrays["trainer"].tobytes())
        if self.cursor.over:
            self.module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
        return str(path)

    def keep_best(self) -> None:
        """Give the module the weights that had the lowest loss on the rows to watch, where there was to be patience."""
        if self._best is not None:
            self.module.load_state_dict(load_tensors(self._best))

    def on_train_batch_start(self, *_: Any) -> None:
        """Draw random numbers by the step and the worker, so that none has to be saved."""
        torch.manual_seed(step_seed(self.material.seed, self.cursor.step, self.context.collective.rank))

    def on_train_batch_end(self, trainer: Any, _module: Any, outputs: Any, *_: Any) -> None:
        """Look at the loss; save in the middle of an epoch if it is time; stop if that is asked for."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        ours = 0.0 if loss is None else float(loss)  # a module that steps by itself need not tell
        collective = self.context.collective
        total, stops = collective.all_reduce([ours, float(self.context.should_stop())]).tolist()
        self.cursor.step += 1
        self.cursor.total += check_loss(total / collective.world_size, self.cursor.step)
        if stops > 0.0:
            trainer.should_stop = True
        if self.cursor.step % self.steps:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Tell the metrics, those that the module has logged among them, and watch; save if it is time."""
        if self.cursor.step % self.steps:
            return  # it was told to stop in the middle
        cursor, plan = self.cursor, self.plan
        epoch = cursor.step // self.steps
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics = {**logged, "loss": cursor.total / self.steps}
        cursor.total = 0.0
        if self.material.valid is not None:
            loss = metrics["valid_loss"] = check_loss(self._watched(pl_module, logged), cursor.step)
            cursor.waited += 1
            if loss < cursor.best:
                cursor.best, cursor.waited = loss, 0
                if plan.patience:
                    self._best = save_tensors(_weights(pl_module))
            cursor.over = 0 < plan.patience <= cursor.waited
        self.context.report(epoch, **metrics)
        if self.context.collective.rank == 0:
            self.context.progress(epoch / plan.epochs, f"epoch {epoch} of {plan.epochs}")
        if cursor.over:
            trainer.should_stop = True
        self._save(trainer)

    def on_save_checkpoint(self, _trainer: Any, _module: Any, checkpoint: dict[str, Any]) -> None:
        """Leave out what is not needed to go on and may be any object: the arguments of the module."""
        for name in [name for name in checkpoint if "hparams" in name or "hyper" in name]:
            del checkpoint[name]

    def _save(self, trainer: Any) -> None:
        if not self.context.checkpoints.due(self.cursor.step):
            return
        path = self.folder / "saved.ckpt"
        trainer.save_checkpoint(path)  # all workers must take part

        def packed() -> bytes:
            arrays = {"trainer": np.frombuffer(path.read_bytes(), np.uint8)}
            if self._best is not None:
                arrays["best"] = np.frombuffer(self._best, np.uint8)
            return pack(arrays, **asdict(self.cursor))

        self.context.checkpoints.save(self.cursor.step, packed, self.context.collective)

    def _watched(self, module: Any, logged: Mapping[str, float]) -> float:
        """Return the loss on the rows of all workers: as the module has logged it, or by its forward."""
        assert self.material.valid is not None
        for name in _VALID_LOSS:
            if name in logged:
                told = float(self.context.collective.all_reduce(logged[name]))
                return told / self.context.collective.world_size
        total, learning = 0.0, module.training
        module.eval()
        with torch.no_grad():
            for features, targets in parts(self.material.valid, _ROWS):
                rows, wanted = self.batch(features, targets)
                outputs = module(rows.to(module.device))
                total += float(loss_of(outputs, wanted.to(module.device), self.material.problem)) * len(rows)
        module.train(learning)
        summed, count = self.context.collective.all_reduce([total, float(self.material.valid.count)]).tolist()
        return float(summed / count)

    def batch(self, features: Features, targets: Targets) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows as a module gets them."""
        wanted = tensor_of(targets, self.scale, self.material.problem)
        return torch.from_numpy(np.array(features, np.float32)), wanted


class _TrainLoader:
    """This worker's rows of the epoch that is next, from the step that is next; Trainer takes it for resumable."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __len__(self) -> int:
        return self._watch.steps

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch, done = divmod(self._watch.cursor.step, self._watch.steps)
        for rows in self._watch.material.train.batches(self._watch.plan.batch_size, epoch=epoch, skip=done):
            yield self._watch.batch(*rows)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: the step says all."""


class _ValidLoader:
    """This worker's rows to watch, for a module that has a validation of its own."""

    def __init__(self, watch: Watch, rows: Rows) -> None:
        self._watch, self._rows = watch, rows

    def __len__(self) -> int:
        return self._rows.steps(self._watch.plan.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for rows in self._rows.batches(self._watch.plan.batch_size):
            yield self._watch.batch(*rows)


class _Workers(ClusterEnvironment):
    """Our workers, as Lightning asks for them: started by somebody else, one device each."""

    def __init__(self, context: TrainingContext) -> None:
        super().__init__()
        self._collective = context.collective

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"  # not used: they have met already

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._collective.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._collective.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._collective.rank


class _Mlp(lightning.LightningModule):
    """Our own module: the network for tables."""

    def __init__(self, problem: Problem, learning_rate: float) -> None:
        super().__init__()
        self.network, self.problem, self.learning_rate = build_mlp(problem), problem, learning_rate

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.network(features)

    def training_step(self, batch: Any) -> torch.Tensor:
        features, targets = batch
        return loss_of(self(features), targets, self.problem)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Lightning not tell of GPUs that are not there and of loggers that nobody asked for."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(before)


def _weights(module: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
