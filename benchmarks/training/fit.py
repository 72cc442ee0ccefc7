"""One measured process: reads, learns, and prints what it took. Run by ``__main__``.

Run: python -m benchmarks.training.fit KIND FOLDER [RANK WORLD_SIZE PORT]
"""

from __future__ import annotations

import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.training.data import NAMES, Source, answer, in_memory, open_source

TOLERANCE = 1e-6
SECRET = b"only for a benchmark on loopback"
PEERS = {
    "newton-cholesky": {"solver": "newton-cholesky"},
    "lbfgs": {"solver": "lbfgs"},
    "newton-cg": {"solver": "newton-cg"},
}


def main() -> None:
    """Do what the command line asks."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    source = open_source(folder)
    if kind == "read":
        _report(lambda: _read(source))
    elif kind == "linear":
        _linear(source)
    elif kind in ("logistic", "logistic-bare"):
        _logistic(source, statistics=kind == "logistic", workers=tuple(map(int, sys.argv[3:6])))
    elif kind == "reference":
        _reference(folder, source)
    else:
        _peer(folder, kind)


def _report(work: Callable[[], dict[str, object]]) -> None:
    start, spent = time.perf_counter(), time.process_time()
    found = work()
    answer(wall_s=time.perf_counter() - start, cpu_s=time.process_time() - spent, **found)


def _read(source: Source) -> dict[str, object]:
    """Read every column once as matrices, and do nothing with them."""
    for _ in source.batches("y"):
        pass
    return {}


def _linear(source: Source) -> None:
    from lepton import LinearRegression

    def work() -> dict[str, object]:
        model = LinearRegression().fit_batches(lambda: source.batches("y"))
        return {"passes": model.n_iter_, "weights": model.coef_.tolist()}

    _report(work)


def _logistic(source: Source, *, statistics: bool, workers: tuple[int, ...]) -> None:
    from lepton import LogisticRegression
    from lepton.training.collective import LocalCollective, TcpCollective
    from lepton.training.context import TrainingContext

    rank, world_size, port = workers or (0, 1, 0)
    collective: Any = LocalCollective()
    if world_size > 1 and rank == 0:
        collective = TcpCollective.lead(socket.create_server(("127.0.0.1", port)), world_size=world_size, secret=SECRET)
    elif world_size > 1:
        collective = TcpCollective.follow(("127.0.0.1", port), rank=rank, world_size=world_size, secret=SECRET)
    passes = 0

    def batches() -> Iterator[Any]:
        nonlocal passes
        passes += 1
        return source.batches("label", rank, world_size)

    def work() -> dict[str, object]:
        model = LogisticRegression(statistics=statistics)
        model.fit_batches(batches, context=TrainingContext(collective=collective))
        return {"passes": passes, "weights": [*model.coef_[0].tolist(), float(model.intercept_[0])]}

    collective.barrier()  # both are there and have loaded what they need
    _report(work)


def _peer(folder: Path, kind: str) -> None:
    from sklearn.linear_model import LogisticRegression

    features = np.load(folder / "features.npy")
    target = np.load(folder / "label.npy")
    warnings.simplefilter("ignore")

    def work() -> dict[str, object]:
        model = LogisticRegression(C=1.0, tol=TOLERANCE, max_iter=1000, **PEERS[kind]).fit(features, target)
        return {"passes": int(np.max(model.n_iter_)), "weights": [*model.coef_[0].tolist(), float(model.intercept_[0])]}

    _report(work)


def _reference(folder: Path, source: Source) -> None:
    """Write the standardized table for the peers, and find the optimum of both problems far beyond any tolerance."""
    features, target = in_memory(source, "label")
    np.save(folder / "features.npy", features)
    np.save(folder / "label.npy", target)
    from lepton import LogisticRegression

    raw = lambda: source.batches("label")  # noqa: E731
    ours = LogisticRegression(tolerance=1e-12).fit_batches(raw)
    theirs = LogisticRegression(tolerance=1e-12).fit_batches(
        lambda: ((features[i : i + 100_000], target[i : i + 100_000]) for i in range(0, len(target), 100_000))
    )
    found = {
        name: [*model.coef_[0].tolist(), float(model.intercept_[0])]
        for name, model in (("raw", ours), ("scaled", theirs))
    }
    answer(columns=len(NAMES), **found)


if __name__ == "__main__":
    main()
