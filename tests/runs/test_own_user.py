"""Where the platform is root, and everybody can read where it is installed, each run is a user of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import lepton
from lepton.core.confine import everyone_reaches
from lepton.launch.places import FIRST_USER, USERS

PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
PACKAGES = [str(Path(lepton.__file__).parents[1]), *(path for path in sys.path if path.endswith("site-packages"))]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON.exists() or not everyone_reaches([str(PYTHON), *PACKAGES]),
    reason="needs root, the system's Python in the same version, and packages that everybody can read",
)

SCRIPT = """
import json, os, sys
told = {"user": os.getuid(), "group": os.getgid(), "groups": os.getgroups(), "python": sys.executable}
for name in ("catalog.db", "keys.db", "root.key"):
    try:
        told[name] = open(os.path.join(sys.argv[1], name), "rb").read(1).hex()
    except OSError as error:
        told[name] = error.strerror
powers = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
told["powers"] = int(powers[0], 16)
with open(os.path.join(os.environ["LEPTON_OUTPUTS"], f"told-{os.environ['RANK']}.json"), "w") as file:
    json.dump(told, file)
"""


@pytest.fixture
def variables(tmp_path: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    port = str(40_000 + os.getpid() % 20_000)
    home = str(tmp_path / "home")
    return kept | {"LEPTON_HOME": home, "LEPTON_PORT": port, "PYTHONPATH": os.pathsep.join(PACKAGES)}


def terminal(variables: Mapping[str, str], *arguments: str) -> str:
    command = [str(PYTHON), "-P", "-m", "lepton.cli", *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def platform(variables: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    terminal(variables, "up")
    yield variables
    terminal(variables, "down")


def told(platform: Mapping[str, str], folder: Path, *options: str) -> dict[str, object]:
    """Run the script and return what its first worker told."""
    home = platform["LEPTON_HOME"]
    asked = ["runs", "submit", "--folder", str(folder), *options, "--json", "--", "python", "look.py", home]
    run = json.loads(terminal(platform, *asked))
    assert run["state"] == "succeeded"
    terminal(platform, "runs", "download", run["id"], "told-0.json", "--to", str(folder / "back"))
    found: dict[str, object] = json.loads((folder / "back" / "told-0.json").read_text())
    return found


def test_a_run_is_a_user_of_its_own_that_reads_nothing_of_the_platform(
    platform: Mapping[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "look.py").write_text(SCRIPT)
    assert list(Path(platform["LEPTON_HOME"]).glob("*.db")), "there is something to keep it from"
    found = told(platform, folder, "--workers", "2")
    user = found["user"]
    assert isinstance(user, int)
    assert FIRST_USER <= user < FIRST_USER + USERS
    assert (found["group"], found["groups"], found["powers"]) == (user, [], 0)
    assert {found[name] for name in ("catalog.db", "keys.db", "root.key")} == {"Permission denied"}
    assert str(found["python"]).endswith(("bin/python", PYTHON.name))  # called python, whatever the system calls it
    assert told(platform, folder)["user"] != user
