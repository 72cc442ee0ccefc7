"""Every check, in the order in which a failure is cheapest to learn of. ``make test`` runs this; so does CI."""

from __future__ import annotations

import os
import subprocess
import sys
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


def main() -> int:
    """Run the checks; stop at the first that fails."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    for name, command in CHECKS:
        print(f"── {name}: {' '.join(command)}", flush=True)
        started = time.monotonic()
        done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, env=environment, check=False)
        if done.returncode:
            print(f"{name} failed. Run it again with: {BIN.relative_to(ROOT)}/{' '.join(command)}", file=sys.stderr)
            return done.returncode
        print(f"   {name} passed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
