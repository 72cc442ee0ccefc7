"""A training begins soon: what it does not need is not loaded, by none of its workers."""

from __future__ import annotations

import json
import subprocess
import sys


def test_a_training_loads_no_framework_and_no_database_to_begin_with() -> None:
    asked = "import json, sys, lepton.trainer.__main__; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "lepton.trainer.rows" in loaded
    assert not loaded & {"sklearn", "scipy", "pandas", "torch", "tensorflow", "jax", "xgboost", "sqlalchemy", "fastapi"}
