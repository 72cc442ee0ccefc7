"""`make bench-training`, second part: a torchrun script under Lepton beside torchrun, and reading shuffled batches.

Run: python -m benchmarks.training.frameworks [--repeats 5] [--rows 1000000] [--docs FILE]

Both run the same script with two workers of one thread, in turn; the median of the repeats counts. The loader is that
of recipes: rows over REST from an encrypted version, a copy to fit features on, through the features' graph, then in
shuffled batches; beside it the same from an Arrow table that is in memory already.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks import pages

import lepton
from lepton.core.columns import ColumnType
from lepton.core.refs import parse_ref
from lepton.models.commanded import Plan
from lepton.models.features import Column
from lepton.models.graph import features_graph
from lepton.models.parameters import Settings
from lepton.models.prediction import open_session
from lepton.models.records import TrainRequest
from lepton.trainer import rows as trainer_rows
from lepton.trainer.platform import PlatformOfRun

SCRIPT = Path(__file__).with_name("ddp_script.py")
COLUMNS, BATCH, EPOCHS = 50, 512, 5


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lbf-") as folder, lepton.open(Path(folder) / "home") as client:
        steps = _steps(client, options.repeats)
        loaded = _loading(client, options.rows)
    text = "\n".join([*_step_table(steps), "", *_loading_table(loaded, options.rows)])
    print(text)
    pages.write(options.docs, "bench-training frameworks", text)
    return 0


def _steps(client: lepton.Client, repeats: int) -> dict[str, list[dict[str, float]]]:
    taken: dict[str, list[dict[str, float]]] = {"torchrun": [], "Lepton": []}
    for _ in range(repeats):
        for name, measure in (("torchrun", _torchrun), ("Lepton", lambda: _ours(client))):
            print(name, flush=True)
            taken[name].append(measure())
    return taken


def _torchrun() -> dict[str, float]:
    began = time.time()
    torchrun = Path(sys.executable).with_name("torchrun")
    done = subprocess.run(
        [torchrun, "--standalone", "--nproc-per-node", "2", SCRIPT],
        capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return _told(done.stdout.splitlines(), began)


def _ours(client: lepton.Client) -> dict[str, float]:
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / SCRIPT.name).write_text(SCRIPT.read_text())
        run = client.runs.submit(["python", SCRIPT.name], folder=folder, workers=2)
    client.runs.wait(run.id)
    return _told([line.text for line in client.runs.logs(run.id).lines], began)


def _told(lines: list[str], began: float) -> dict[str, float]:
    told = json.loads(next(line for line in lines if line.startswith("told ")).removeprefix("told "))
    return {"step_s": told["step_s"], "start_s": told["first_at"] - began}


def _loading(client: lepton.Client, count: int) -> dict[str, Taken]:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{n}": rng.normal(size=count).astype(np.float32) for n in range(COLUMNS)})
    frame = frame.with_columns(pl.Series("y", rng.integers(0, 2, count)))
    client.datasets.import_(frame, name="rows")
    columns = tuple(Column(f"x{n}", ColumnType.NUMBER) for n in range(COLUMNS))
    plan = Plan(TrainRequest("m", parse_ref("rows@1"), "y"), Column("y", ColumnType.INTEGER), columns)
    asked = PlatformOfRun({"LEPTON_RUN_ID": "bench"}, client)
    split = trainer_rows.split(asked, plan, Settings(validation_fraction=0.0))
    found = {}
    for name, platform, memory_mb in (
        ("in memory", InMemory(frame), 1 << 20),
        ("encrypted, kept in memory", asked, 1 << 20),
        ("encrypted, kept on the disk", asked, 0),
    ):
        taken = [_load(platform, plan, split, Settings(memory_mb=memory_mb)) for _ in range(3)]
        found[name] = Taken(min(one.ready_s for one in taken), min(one.epoch_s for one in taken))
    return found


@dataclass(frozen=True)
class Taken:
    """Seconds until the rows can be learned from, and those of an epoch."""

    ready_s: float
    epoch_s: float


class InMemory(PlatformOfRun):
    """A platform whose rows are in this process already."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def blocks(
        self,
        ref: str,  # noqa: ARG002 - there is one table
        columns: Sequence[str],
        first: int,
        end: int,
    ) -> Generator[pl.DataFrame, None, None]:
        """Slice rows of the table."""
        yield from self._frame[first:end].select(columns).iter_slices(2_600)  # a megabyte, as the platform sends them


def _load(platform: PlatformOfRun, plan: Plan, split: trainer_rows.Split, settings: Settings) -> Taken:
    """Fit features, make a worker's part, and pass over it in shuffled batches, as a recipe does."""
    began = time.perf_counter()
    source = trainer_rows.source(platform, plan, len(split.train), settings)
    features = trainer_rows.fit(source, plan, split.train, settings)
    session = open_session(features_graph(features))
    reader = trainer_rows.Reader(source, features.inputs, session, memory_bytes=settings.memory_bytes)
    part = reader.part(split.target, split.train, rank=0, workers=1, seed=0)
    ready = time.perf_counter()
    for epoch in range(EPOCHS):
        for _ in part.batches(BATCH, epoch=epoch):
            pass
    return Taken(ready - began, (time.perf_counter() - ready) / EPOCHS)


def _step_table(taken: dict[str, list[dict[str, float]]]) -> list[str]:
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in ("step_s", "start_s")}
        for name, found in taken.items()
    }
    lines = ["| two workers, one script | step, ms | submitted to first step, s |", "|---|---|---|"]
    lines += [f"| {name} | {one['step_s'] * 1000:.2f} | {one['start_s']:.2f} |" for name, one in middle.items()]
    ours, theirs = middle["Lepton"], middle["torchrun"]
    lines += [
        "",
        f"A step takes {ours['step_s'] / theirs['step_s']:.3f} times torchrun's; the first one is done "
        f"{ours['start_s'] - theirs['start_s']:+.2f} s after torchrun's.",
    ]
    return lines


def _loading_table(found: dict[str, Taken], rows: int) -> list[str]:
    theirs = found["in memory"]
    lines = [
        f"| {rows:,} rows × {COLUMNS} | until learning begins, s | an epoch, s | its rate |",
        "|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(f"| {name} | {one.ready_s:.2f} | {one.epoch_s:.3f} | {theirs.epoch_s / one.epoch_s:.0%} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
