"""What happens beside Trainer's own loop: rows in order, metrics, early stopping, checkpoints that everybody shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from transformers import PrinterCallback, Trainer, TrainerCallback

from lepton.training.context import TrainingContext
from lepton.training.recipes.epochs import Cursor, Plan, pack, step_seed, unpack
from lepton.training.recipes.port import Features, Material, Rows, Targets, check_loss, parts
from lepton.training.recipes.scale import Scale
from lepton.training.recipes.token_columns import TokenColumns

_SAVED = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")
"""Of what Trainer writes: what it reads again, as data. Random numbers are drawn anew for each step instead."""
_ROWS = 256


def train(
    network: Any,
    arguments: Any,
    columns: TokenColumns,
    scale: Scale,
    material: Material,
    context: TrainingContext,
    plan: Plan,
) -> None:
    """Let Trainer learn, from the last checkpoint if there is one; the network ends with its best weights."""
    watch = Watch(network, columns, scale, material, context, plan)
    folder = watch.restore(Path(arguments.output_dir))
    trainer = RowsTrainer(watch, model=network, args=arguments, callbacks=[watch])
    trainer.remove_callback(PrinterCallback)
    trainer.model_accepts_loss_kwargs = False  # losses are means over the rows of a batch, on each worker
    if not watch.cursor.over and watch.cursor.step < plan.epochs * watch.steps:
        trainer.train(resume_from_checkpoint=None if folder is None else str(folder))
    elif folder is not None:
        network.load_state_dict(load_tensors((folder / _SAVED[0]).read_bytes()), strict=False)
    watch.keep_best()


class Watch(TrainerCallback):
    """Follows a training; the callback and the rows of `RowsTrainer`."""

    def __init__(
        self,
        network: Any,
        columns: TokenColumns,
        scale: Scale,
        material: Material,
        context: TrainingContext,
        plan: Plan,
    ) -> None:
        self._network, self._columns, self._scale = network, columns, scale
        self._material, self._context, self._plan = material, context, plan
        self.cursor = Cursor()
        self.steps = material.train.steps(plan.batch_size)
        self._best: bytes | None = None
        self._stop = False

    def restore(self, folder: Path) -> Path | None:
        """Read the last checkpoint; return the folder from which Trainer goes on, None at the beginning."""
        found = self._context.checkpoints.restore(self._context.collective)
        if found is None:
            return None
        arrays, facts = unpack(found.state)
        self.cursor = Cursor(**facts)
        self._best = arrays["best"].tobytes() if "best" in arrays else None
        place = folder / f"checkpoint-{found.step}"
        place.mkdir(parents=True)
        for name in _SAVED:
            (place / name).write_bytes(arrays[name].tobytes())
        return place

    def keep_best(self) -> None:
        """Give the network the weights that had the lowest loss on the rows to watch."""
        if self._best is not None:
            self._network.load_state_dict(load_tensors(self._best), strict=False)

    def batches(self, epoch: int) -> Iterator[dict[str, torch.Tensor]]:
        """Return the batches of an epoch, without those that were learned from before a checkpoint."""
        begun, done = divmod(self.cursor.step, self.steps)
        skip = done if begun == epoch else 0
        for rows in self._material.train.batches(self._plan.batch_size, epoch=epoch, skip=skip):
            yield self._inputs(*rows)

    def count_loss(self, loss: float) -> None:
        """Take this worker's loss of a step, before the weights are changed."""
        total, stops = self._context.collective.all_reduce([loss, float(self._context.should_stop())])
        self.cursor.step += 1
        self.cursor.total += check_loss(float(total) / self._context.collective.world_size, self.cursor.step)
        self._stop = stops > 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Draw random numbers by the step and the worker, so that none has to be saved."""
        torch.manual_seed(step_seed(self._material.seed, state.global_step, self._context.collective.rank))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Watch at the end of an epoch, save if it is time, stop if it is asked for."""
        if self.cursor.step % self.steps == 0:
            self._end_epoch()
        control.should_save = self._context.checkpoints.due(self.cursor.step)
        control.should_training_stop = control.should_training_stop or self._stop or self.cursor.over

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Take what Trainer has written as one checkpoint."""
        place = Path(args.output_dir) / f"checkpoint-{state.global_step}"

        def packed() -> bytes:
            arrays = {name: np.frombuffer((place / name).read_bytes(), np.uint8) for name in _SAVED}
            if self._best is not None:
                arrays["best"] = np.frombuffer(self._best, np.uint8)
            return pack(arrays, **asdict(self.cursor))

        self._context.checkpoints.save(self.cursor.step, packed, self._context.collective)
        shutil.rmtree(place, ignore_errors=True)

    def _end_epoch(self) -> None:
        cursor, plan = self.cursor, self._plan
        epoch = cursor.step // self.steps
        metrics = {"loss": cursor.total / self.steps}
        cursor.total = 0.0
        if self._material.valid is not None:
            loss = metrics["valid_loss"] = check_loss(self._watch(self._material.valid), cursor.step)
            cursor.waited += 1
            if loss < cursor.best:
                cursor.best, cursor.waited = loss, 0
                self._best = save_tensors(_weights(self._network))
            cursor.over = 0 < plan.patience <= cursor.waited
        self._context.report(epoch, **metrics)
        self._context.progress(epoch / plan.epochs, f"epoch {epoch} of {plan.epochs}")

    def _watch(self, rows: Rows) -> float:
        """Return the mean loss on the rows of all workers."""
        total, learning = 0.0, self._network.training
        self._network.eval()
        device = self._network.device
        with torch.no_grad():
            for features, targets in parts(rows, _ROWS):
                inputs = {name: value.to(device) for name, value in self._inputs(features, targets).items()}
                total += float(self._network(**inputs).loss) * len(features)
        self._network.train(learning)
        summed, count = self._context.collective.all_reduce([total, float(rows.count)])
        return float(summed / count)

    def _inputs(self, features: Features, targets: Targets) -> dict[str, torch.Tensor]:
        labels = torch.from_numpy(np.array(self._scale.learned(targets)))
        return {**self._columns.read(torch.from_numpy(np.array(features))), "labels": labels}


class _Loader:
    """The rows as Trainer asks for them; it tells which epoch it is in."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._epoch = watch, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._watch.steps

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return self._watch.batches(self._epoch)


class RowsTrainer(Trainer):
    """Trainer with rows that each worker has already, and with an eye on the loss."""

    def __init__(self, watch: Watch, **told: Any) -> None:
        super().__init__(**told)
        self._watch = watch

    def get_train_dataloader(self) -> Any:
        """Return this worker's rows; they are not dealt out again."""
        return _Loader(self._watch)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Calculate the gradient, and look at the loss."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._watch.count_loss(float(loss))
        return loss


def _weights(network: Any) -> dict[str, torch.Tensor]:
    """Return copies of the weights, each once: some networks use one in two places."""
    tied = set(getattr(network, "all_tied_weights_keys", None) or ())
    return {
        name: value.detach().cpu().clone().contiguous()
        for name, value in network.state_dict().items()
        if name not in tied
    }
