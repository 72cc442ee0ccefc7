"""One worker of tests/training/test_many_workers.py: fits every case on its own rows and prints what it found."""

import json
import os
import sys

import numpy as np

from lepton import LinearRegression, LogisticRegression
from lepton.training.collective import LocalCollective, open_collective
from lepton.training.context import TrainingContext

ROWS, COLUMNS = 6_000, 4


def table():
    random = np.random.default_rng(5)
    features = random.normal(size=(ROWS, COLUMNS)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 1.0, 0.0, -1.0]
    score = features @ [1.0, -0.5, 2.0, 0.3] + 0.2
    number = score + random.normal(size=ROWS)
    binary = (score + random.logistic(size=ROWS) > 0).astype(int)
    three = np.array(["low", "middle", "high"])[np.digitize(score + random.logistic(size=ROWS), [-1.0, 1.5])]
    by_class = np.argsort(three, kind="stable")  # neighbors share a class, so that shards miss classes
    return features, {"number": number, "binary": binary, "boolean": binary > 0, "three": three}, by_class


CASES = {
    "linear exact": (LinearRegression(), "number", "stripes"),
    "linear exact l2": (LinearRegression(l2=30.0), "number", "stripes"),
    "linear exact elastic net": (LinearRegression(l1=200.0, l2=30.0), "number", "stripes"),
    "linear exact weights": (LinearRegression(), "number", "weighted"),
    "linear gd weights": (LinearRegression(solver="gd"), "number", "weighted"),
    "binary newton elastic net": (LogisticRegression(l1=20.0, l2=3.0), "binary", "stripes"),
    "binary newton weights": (LogisticRegression(class_weight={0: 2.0, 1: 0.5}), "binary", "weighted"),
    "three newton balanced": (LogisticRegression(class_weight="balanced"), "three", "classes apart"),
    "three newton elastic net": (LogisticRegression(l1=20.0), "three", "stripes"),
    "linear gd": (LinearRegression(solver="gd"), "number", "stripes"),
    "linear gd empty worker": (LinearRegression(solver="gd"), "number", "last empty"),
    "linear exact empty worker": (LinearRegression(), "number", "last empty"),
    "linear gd mini-batches": (
        LinearRegression(solver="gd", batch_size=300, max_iterations=60, tolerance=1e-4, random_state=0),
        "number",
        "last empty",
    ),
    "binary gd": (LogisticRegression(solver="gd"), "binary", "stripes"),
    "binary newton": (LogisticRegression(solver="newton"), "binary", "stripes"),
    "binary newton empty worker": (LogisticRegression(solver="newton"), "boolean", "last empty"),
    "binary lbfgs": (LogisticRegression(solver="lbfgs", tolerance=1e-9), "boolean", "stripes"),
    "three gd": (LogisticRegression(solver="gd", max_iterations=3000), "three", "stripes"),
    "three newton": (LogisticRegression(solver="newton"), "three", "stripes"),
    "three newton without intercept": (LogisticRegression(solver="newton", fit_intercept=False), "three", "stripes"),
    "three newton classes apart": (LogisticRegression(solver="newton"), "three", "classes apart"),
}


def shard(name, rank, world_size):
    features, targets, by_class = table()
    _, column, cut = CASES[name]
    mine = np.arange(rank, ROWS, world_size)
    if cut == "classes apart":
        mine = np.array_split(by_class, world_size)[rank]
    if cut == "last empty" and world_size > 1:
        mine = np.arange(rank, ROWS, world_size - 1) if rank < world_size - 1 else np.arange(0)
    features, target = features[mine], targets[column][mine]
    parts = [(features[i : i + 1000], target[i : i + 1000]) for i in range(0, len(features), 1000)]
    if cut != "weighted":
        return parts
    counted = (1.0 + np.arange(ROWS) % 3)[mine]
    return [(*part, counted[i * 1000 : (i + 1) * 1000]) for i, part in enumerate(parts)]


def fit_all(collective):
    found = {}
    for name, (model, _, _) in CASES.items():
        batches = shard(name, collective.rank, collective.world_size)
        model.fit_batches(lambda batches=batches: iter(batches), context=TrainingContext(collective=collective))
        weights = np.append(np.ravel(model.coef_), np.ravel(model.intercept_))
        classes = model.classes_.tolist() if hasattr(model, "classes_") else None
        errors = None if model.inference_ is None else np.ravel(model.inference_.errors)
        found[name] = {"weights": [float(w).hex() for w in weights], "classes": classes}
        if errors is not None and not np.isnan(errors).any():
            found[name]["errors"] = [float(e).hex() for e in errors]
    return found


if __name__ == "__main__":
    if os.environ.get("WORLD_SIZE", "1") == "1":
        joined = LocalCollective()
    else:
        joined = open_collective(os.environ, sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(fit_all(joined)))
