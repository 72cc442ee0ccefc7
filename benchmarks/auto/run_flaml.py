"""Learn one table with FLAML and write its answers for the held-out rows; runs in FLAML's own environment.

Run: python run_flaml.py IN.npz OUT.npz SECONDS CORES
"""

from __future__ import annotations

import sys
import time

import numpy as np
from flaml import AutoML


def main() -> None:
    """Do it."""
    given, out, seconds, cores = sys.argv[1:]
    with np.load(given, allow_pickle=False) as file:
        features, targets, asked, classes = file["features"], file["targets"], file["asked"], int(file["classes"])
    found = AutoML()
    began = time.monotonic()
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
    took = time.monotonic() - began
    np.savez(out, answers=found.predict_proba(asked) if classes else found.predict(asked), took=took)


if __name__ == "__main__":
    main()
