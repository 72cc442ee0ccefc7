"""Every check, in the order in which a failure is cheapest to learn of. ``make test`` runs this; so does CI."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

CHECKS: list[tuple[str, list[str]]] = [
    ("formatting", ["ruff", "format", "--check", "--quiet", "."]),
    ("lint", ["ruff", "check", "--quiet", "."]),
    ("types", ["mypy", "--no-error-summary"]),
    ("import contract", ["lint-imports", "--no-cache"]),
    ("docs", ["mkdocs", "build", "--strict", "--quiet", "--site-dir", ".venv/site"]),
    ("tests", ["python", "-m", "pytest", "-q"]),
]
BESIDE = ("tests/training", "tests/trainer", "tests/tuner", "tests/models", "tests/runs")
"""Tests that take about as long as all others; those wait most of the time, and leave a processor for these."""


def main() -> int:
    """Run the checks; stop at the first that fails."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    for name, command in CHECKS:
        print(f"── {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        whole = [str(BIN / command[0]), *command[1:]]
        code = _tests(whole, environment) if name == "tests" else _run(whole, environment)
        if code:
            print(f"{name} failed. Run it again with: {BIN.relative_to(ROOT)}/{' '.join(command)}", file=sys.stderr)
            return code
        print(f"   {name} passed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


def _run(command: list[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _tests(command: list[str], environment: dict[str, str]) -> int:
    """Run the tests in two halves beside each other; what the second one says follows what the first one says."""
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *BESIDE], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
        try:
            code = _run([*command, *(f"--ignore={folder}" for folder in BESIDE)], environment)
            code = beside.wait() or code
        finally:
            beside.kill()
            beside.wait()
        said.seek(0)
        print(said.read().decode(errors="replace"), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
