"""Recipes in real processes, for `lepton.testing.recipes`: several workers, and workers that are killed.

``python -m lepton.testing.recipe_workers kills pytorch --kills 10`` trains in processes that SIGKILL ends at random
moments, until it is done, and compares with a training that nobody disturbed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lepton.core.errors import Internal
from lepton.testing.recipe_tasks import make_task
from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import open_collective
from lepton.training.context import TrainingContext
from lepton.training.recipes.known import find
from lepton.training.recipes.port import Recipe

_SECRET, _PORT, _FD = "RECIPE_SUITE_SECRET", "RECIPE_SUITE_PORT", "RECIPE_SUITE_FD"
LIMIT_S = 240.0
"""How long workers may take; far more than they need, so that a busy machine is no failure."""


@dataclass(frozen=True)
class Job:
    """One training, as workers are told it.

    Attributes:
        recipe: A name in `lepton.training.recipes.known`, or ``file.py:NAME`` of one that is not there.
        task: A name of `lepton.testing.recipe_tasks.make_task`.
        parameters: What the recipe is told.
        model: ``file.py:NAME`` of a model that a user brings; None: the recipe's own.
        checkpoints: Folder of checkpoints; None: there are none.
        every: After how many steps a checkpoint is due.
        valid: Whether there are rows to watch.
        seed: Decides whatever is random.
    """

    recipe: str
    task: str = "binary"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    checkpoints: str | None = None
    every: int = 3
    valid: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a training in processes left: the graph, and the framework's scores [n] or [n, K] for the fixed rows."""

    graph: bytes
    scores: np.ndarray[Any, np.dtype[np.float64]]


def load(named: str) -> Any:
    """Return what ``file.py:NAME`` names; the file is imported by nobody else."""
    path, _, name = named.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"lepton_suite_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise Internal(f"There is no Python file for {named!r}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and inspect look there
    spec.loader.exec_module(module)
    return getattr(module, name)


def recipe_of(named: str) -> Recipe:
    """Return a recipe by name, or out of ``file.py:NAME``."""
    recipe: Recipe = load(named) if ".py:" in named else find(named)
    return recipe


class Workers:
    """Processes that train one job; `folder` takes what they leave.

    They get what torchrun gives: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and a MASTER_PORT at which
    nothing listens yet, for the recipe's own. Their collective listens elsewhere.
    """

    def __init__(self, job: Job, count: int, folder: Path) -> None:
        self.folder = folder
        (folder / "job.json").write_text(json.dumps(asdict(job)))
        for old in ("graph.onnx", "scores.npy", "started"):
            (folder / old).unlink(missing_ok=True)
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.create_server(("127.0.0.1", 0)) as free:
            master_port = free.getsockname()[1]
        environment = {
            **os.environ,
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(master_port),
            _PORT: str(listener.getsockname()[1]),
            _SECRET: secrets.token_hex(16),
            "CUDA_VISIBLE_DEVICES": "",
        }
        command = [sys.executable, "-m", "lepton.testing.recipe_workers", "work", str(folder)]
        self.processes = []
        with listener:
            for rank in range(count):
                own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                if rank == 0:
                    own[_FD] = str(listener.fileno())
                with (folder / f"log-{rank}").open("wb") as log:
                    self.processes.append(
                        subprocess.Popen(  # noqa: S603
                            command,
                            env=environment | own,
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            pass_fds=(listener.fileno(),) if rank == 0 else (),
                        )
                    )

    def started(self) -> bool:
        """Whether worker 0 has all it needs and begins to learn."""
        return (self.folder / "started").exists()

    def running(self) -> bool:
        """Whether none has ended."""
        return all(process.poll() is None for process in self.processes)

    def kill(self) -> None:
        """SIGKILL whatever still runs, and wait for its end."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def outcome(self) -> Outcome:
        """Wait for their end and return what they left.

        Raises:
            Internal: if one failed; with the end of what it wrote.
        """
        deadline = time.monotonic() + LIMIT_S
        try:
            codes = [process.wait(max(deadline - time.monotonic(), 0.01)) for process in self.processes]
        except subprocess.TimeoutExpired:
            raise Internal(f"The workers were not done after {LIMIT_S:g} seconds. {self._words()}") from None
        finally:
            self.kill()
        if any(codes):
            raise Internal(f"The workers ended with {codes}. {self._words()}")
        graph = (self.folder / "graph.onnx").read_bytes()
        return Outcome(graph, np.load(self.folder / "scores.npy", allow_pickle=False))

    def _words(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("log-*")))


def train(job: Job, *, workers: int, folder: Path) -> Outcome:
    """Train in `workers` processes and return what worker 0 has."""
    folder.mkdir(parents=True, exist_ok=True)
    return Workers(job, workers, folder).outcome()


def train_killed(job: Job, *, workers: int, folder: Path, kills: int, lasts_s: float, seed: int) -> Outcome:
    """Train in processes that are killed `kills` times, each at a random moment within `lasts_s` of the beginning."""
    moments = random.Random(seed)  # noqa: S311
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(kills):
        group = Workers(job, workers, folder)
        try:
            while group.running() and not group.started():
                time.sleep(0.002)
            until = time.monotonic() + moments.uniform(0.0, lasts_s)
            while group.running() and time.monotonic() < until:
                time.sleep(0.001)
            moments.choice(group.processes).kill()
        finally:
            group.kill()
    return train(job, workers=workers, folder=folder)


def work(folder: Path) -> None:
    """Be one worker."""
    job = Job(**json.loads((folder / "job.json").read_text()))
    environment = {**os.environ, "MASTER_PORT": os.environ[_PORT]}
    if _FD in os.environ:
        environment["LEPTON_MASTER_FD"] = os.environ.pop(_FD)
    collective = open_collective(environment, bytes.fromhex(os.environ.pop(_SECRET)))
    task, recipe = make_task(job.task), recipe_of(job.recipe)
    if collective.rank == 0:
        (folder / "started").touch()
    context = TrainingContext(
        collective=collective,
        checkpoints=Checkpoints(Path(job.checkpoints) if job.checkpoints else None, every=job.every),
    )
    material = task.material(collective.rank, collective.world_size, seed=job.seed, valid=job.valid)
    fitted = recipe.fit(material, context, job.parameters, load(job.model) if job.model else None)
    if (fitted is None) is (collective.rank == 0):
        raise Internal(f"Worker {collective.rank} returned {type(fitted).__name__}; worker 0 alone has the model.")
    if fitted is not None:
        np.save(folder / "scores.npy", fitted.scores(task.fixed[0]))
        (folder / "graph.onnx").write_bytes(fitted.graph)
    collective.barrier()


def kill_and_compare(options: argparse.Namespace) -> int:
    """Train undisturbed, and again with kills; say whether both end alike."""
    parameters = dict(pair.split("=", 1) for pair in options.param)
    job = Job(options.recipe, options.task, {name: json.loads(text) for name, text in parameters.items()})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        group_folder, kept = folder / "undisturbed", folder / "checkpoints"
        group_folder.mkdir()
        kept.mkdir()
        group = Workers(job, options.workers, group_folder)
        while group.running() and not group.started():
            time.sleep(0.002)
        began = time.monotonic()
        expected = group.outcome()
        lasts_s = time.monotonic() - began
        disturbed = Job(job.recipe, job.task, job.parameters, checkpoints=str(kept), every=options.every)
        got = train_killed(
            disturbed,
            workers=options.workers,
            folder=folder / "disturbed",
            kills=options.kills,
            lasts_s=lasts_s,
            seed=options.seed,
        )
    alike = expected.graph == got.graph and expected.scores.tobytes() == got.scores.tobytes()
    sys.stdout.write(
        f"{options.recipe}, {options.task}, {options.workers} worker(s), {lasts_s:.1f} s undisturbed, "
        f"{options.kills} times SIGKILL: {'bit-equal' if alike else 'DIFFERENT'}\n"
    )
    return 0 if alike else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m lepton.testing.recipe_workers")
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("work", help="be one worker")
    worker.add_argument("folder", type=Path)
    kills = commands.add_parser("kills", help="kill a training again and again, and compare how it ends")
    kills.add_argument("recipe")
    kills.add_argument("--task", default="binary")
    kills.add_argument("--kills", type=int, default=10)
    kills.add_argument("--workers", type=int, default=1)
    kills.add_argument("--every", type=int, default=3)
    kills.add_argument("--seed", type=int, default=0)
    kills.add_argument("--param", action="append", default=[], metavar="NAME=JSON")
    options = parser.parse_args()
    if options.command == "work":
        work(options.folder)
        return 0
    return kill_and_compare(options)


if __name__ == "__main__":
    sys.exit(main())
