"""The import contract holds, and would notice if it did not."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOUNS = ("datasets", "labels", "runs", "models", "endpoints")
OTHERS_THAT_ASK = {"models": ("registry", "tuning"), "runs": ("dispatch", "experiments", "tracking")}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", str(folder / ".importlinter")]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
    )  # fmt: skip


def test_the_import_contract_holds() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


def test_every_noun_that_has_sql_has_a_contract_for_it() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    for noun in (*NOUNS, "access"):
        files = {path.stem for path in (ROOT / "src" / "lepton" / noun).glob("*rows.py")}
        if files:
            contract = contracts[f"importlinter:contract:rows-{noun}"]
            assert set(contract["protected_modules"].split()) == {f"lepton.{noun}.{file}" for file in files}
            asking = {"operations", *OTHERS_THAT_ASK.get(noun, ())}
            assert set(contract["allowed_importers"].split()) <= {f"lepton.{noun}.{file}" for file in asking | files}


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("models/lineage.py", "def look():\n    from lepton.datasets import rows", "datasets.rows belongs"),
        ("datasets/schema.py", "import lepton.models.records", "Imports run against the data"),
        ("runs/records.py", "import lepton.runs.operations", "No circles at any depth"),
        ("training/losses.py", "import lepton.store.keys", "Training knows arrays, not storage"),
        ("client/runs.py", "import sqlalchemy", "The SDK needs no server"),
        ("endpoints/replica/runtime.py", "import pydantic", "A prediction touches no SQL and no API framework"),
        ("core/ids.py", "import pydantic", "Pydantic, FastAPI and Starlette stay in the server"),
        ("cli/runs.py", "import lepton.runs.operations", "The terminal speaks only through the SDK"),
        ("newcomer.py", "", "Imports run against the data"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str, broken: str) -> None:
    source = ROOT / "src" / "lepton"
    for file in source.rglob("*.py"):
        copy = tmp_path / "src" / "lepton" / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    with (tmp_path / "src" / "lepton" / module).open("a") as file:
        file.write(f"\n\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout
    assert any(found.startswith(broken) and "BROKEN" in found for found in result.stdout.splitlines()) or (
        module == "newcomer.py" and "newcomer" in result.stdout
    ), result.stdout
