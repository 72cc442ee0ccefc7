"""Learn one table with FLAML and write its answers for the held-out rows; runs in FLAML's own environment.

Run: python run_flaml.py IN.npz OUT.npy SECONDS CORES
"""

from __future__ import annotations

import sys

import numpy as np
from flaml import AutoML


def main() -> None:
    """Do it."""
    given, out, seconds, cores = sys.argv[1:]
    with np.load(given, allow_pickle=False) as file:
        features, targets, asked, classes = file["features"], file["targets"], file["asked"], int(file["classes"])
    found = AutoML()
    found.fit(
        features,
        targets,
        task="classification" if classes else "regression",
        metric="log_loss" if classes else "rmse",
        time_budget=float(seconds),
        n_jobs=int(cores),
        seed=0,
        verbose=0,
    )
    np.save(out, found.predict_proba(asked) if classes else found.predict(asked))


if __name__ == "__main__":
    main()
