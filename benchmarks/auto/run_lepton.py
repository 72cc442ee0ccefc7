"""Learn one table with the recipe auto and write its answers for the held-out rows; a process of its own.

Run: python -m benchmarks.auto.run_lepton IN.npz OUT.npz SECONDS CORES
"""

from __future__ import annotations

import sys
import time

import numpy as np

from lepton.training.auto.recipe import RECIPE
from lepton.training.context import TrainingContext
from lepton.training.recipes.port import Block, Material, Part, Problem


def main() -> None:
    """Do it."""
    given, out, seconds, cores = sys.argv[1:]
    with np.load(given, allow_pickle=False) as file:
        features, targets, asked, classes = file["features"], file["targets"], file["asked"], int(file["classes"])
    blocks = tuple(Block(f"x{i}", "number", i, 1) for i in range(features.shape[1]))
    material = Material(Problem(blocks, classes or None), Part(features, targets), None)
    began = time.monotonic()
    fitted = RECIPE.fit(material, TrainingContext(threads=int(cores)), {"budget_s": float(seconds)}, None)
    assert fitted is not None
    took = time.monotonic() - began
    np.savez(out, answers=fitted.scores(asked), took=took)


if __name__ == "__main__":
    main()
