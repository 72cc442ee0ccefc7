"""What is light stays light: `import lepton`, the SDK, the terminal, the idle server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "numpy", "polars", "sklearn", "scipy", "onnx", "onnxruntime", "pandas", "pyarrow", "sqlalchemy", "alembic",
    "fastapi", "starlette", "pydantic", "uvicorn", "argon2", "cryptography", "yaml", "torch", "ray", "tensorflow",
}  # fmt: skip
LOOK = """
import json, sys
{code}
print(json.dumps({{"modules": sorted(sys.modules), "status": open("/proc/self/status").read()}}))
"""


def loaded_by(code: str) -> tuple[set[str], float]:
    """The modules that some code loads in a fresh process, and the most memory it took, in MiB."""
    done = subprocess.run([sys.executable, "-c", LOOK.format(code=code)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    # Not resource.ru_maxrss: that starts at what the process that forked it had taken.
    peak = next(line for line in found["status"].splitlines() if line.startswith("VmHWM"))
    return set(found["modules"]), int(peak.split()[1]) / 1024


def test_importing_lepton_loads_nothing_but_itself() -> None:
    modules, mib = loaded_by("import lepton")
    assert {name for name in modules if name.startswith("lepton")} == {"lepton"}
    assert not modules & (HEAVY | {"httpx2", "typer", "rich"})
    assert mib < 60


def test_the_sdk_needs_no_part_of_a_server() -> None:
    modules, mib = loaded_by("import lepton; lepton.Client")
    assert not modules & HEAVY
    assert mib < 60


def test_recording_a_run_loads_no_part_of_a_server() -> None:
    modules, mib = loaded_by("import lepton; lepton.start_run")
    assert not modules & HEAVY
    assert mib < 60


def test_the_help_of_the_terminal_loads_no_client() -> None:
    code = """
from lepton.cli import app
from typer.testing import CliRunner
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
"""
    modules, _ = loaded_by(code)
    assert not modules & (HEAVY | {"httpx2"})


@pytest.mark.parametrize("name", ["LinearRegression", "LogisticRegression"])
def test_the_estimators_load_no_storage_and_no_server(name: str) -> None:
    modules, _ = loaded_by(f"from lepton import {name}")
    assert modules & {"sqlalchemy", "polars", "fastapi", "onnxruntime", "onnx"} == set()
    assert not {module for module in modules if module.startswith(("lepton.store", "lepton.access", "lepton.runs"))}


def test_the_server_loads_what_reads_tables_and_models_only_when_it_is_needed() -> None:
    modules, mib = loaded_by("import lepton.platform, lepton.server.serve")
    assert not modules & {"polars", "sklearn", "onnxruntime", "onnx", "pandas", "pyarrow", "argon2", "alembic"}
    assert mib < 120


def test_the_replica_needs_no_sql_and_no_framework() -> None:
    modules, _ = loaded_by("import lepton.endpoints.replica.serving, lepton.endpoints.replica.worker")
    assert not modules & {"sqlalchemy", "fastapi", "pydantic", "polars", "sklearn", "alembic"}


def test_the_supervisor_of_a_replica_loads_the_standard_library_and_little_of_us() -> None:
    modules, mib = loaded_by("import lepton.endpoints.replica.__main__")
    foreign = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"lepton", "__main__"}
    assert not {name for name in foreign if not name.startswith("_")}
    assert not modules & {"lepton.models", "lepton.store", "lepton.endpoints.replica.http", "lepton.endpoints.records"}
    assert mib < 20
