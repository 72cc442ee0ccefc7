"""An environment for each peer, in a folder that git ignores: made once, remade when its packages change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.peer import NotMeasured

ROOT = Path(__file__).parents[2] / ".bench"


def install(name: str, packages: tuple[str, ...]) -> Path:
    """Return the interpreter of an environment that holds the packages.

    Raises:
        NotMeasured: if pip cannot install them; the message ends with pip's last line.
    """
    folder = ROOT / name
    stamp = folder / "installed.txt"
    python = folder / "venv" / "bin" / "python"
    wanted = f"{sys.version_info[:2]} {' '.join(packages)}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name}: {' '.join(packages)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    # A constraints file of the project would hold the peers back; each gets what it asks for.
    environment = {key: value for key, value in os.environ.items() if key not in ("PIP_CONSTRAINT", "PYTHONPATH")}
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed."]
        raise NotMeasured(f"not installable here: {lines[-1].removeprefix('ERROR: ')}")
    stamp.write_text(wanted)
    return python


def size_mib(python: Path) -> float:
    """Return the size of an environment's packages on disk, each file once, compiled files left out."""
    seen: set[int] = set()
    total = 0
    for path in (python.parent.parent / "lib").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
            status = path.stat()
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_size
    return total / (1 << 20)
