"""A real platform for the journeys: ``lepton up`` in processes of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lepton
from lepton.core.ids import new_id

LEPTON = [sys.executable, "-m", "lepton.cli"]
CITIES = ("Bern", "Graz", "Lyon", "Porto")
CUSTOMER = {"age": 70, "income": 88000, "sex": "f", "city": "Bern"}
"""Somebody who buys."""


@dataclass
class Live:
    """A running platform and how to speak to it."""

    environment: dict[str, str]
    home: Path

    def cli(self, *arguments: str, code: int = 0, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Type a ``lepton`` command and expect its exit code."""
        done = subprocess.run(
            [*LEPTON, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            stdin=subprocess.DEVNULL,
            **kwargs,
        )
        assert done.returncode == code, f"lepton {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def address(self) -> dict[str, str]:
        """The url and the owner's token."""
        return dict(json.loads((self.home / "client.json").read_text()))

    def client(self, project: str = "default") -> lepton.Client:
        """Connect as the owner."""
        return lepton.connect(self.address["url"], self.address["token"], project=project)

    @property
    def pid(self) -> int:
        """Process id of the control plane."""
        return int(json.loads((self.home / "server.json").read_text())["pid"])


def start(home: Path, catalog: str, **settings: str) -> Live:
    """Type ``lepton up`` over an empty or an earlier home, with some ``LEPTON_…`` of the environment set."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LEPTON_") and name != "PYTHONWARNINGS"
    }
    environment |= {
        "LEPTON_HOME": str(home),
        "LEPTON_CATALOG": catalog,
        "LEPTON_PORT": "0",
        "NO_COLOR": "1",
        "COLUMNS": "120",
    } | settings
    live = Live(environment, home)
    live.cli("up")
    return live


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A platform of this module's tests, on each catalog in turn."""
    catalog = "sqlite"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        database = f"journey_{new_id().lower()}"
        server.psql(f"CREATE DATABASE {database};")
        catalog = server.get_uri(database)
    running = start(tmp_path_factory.mktemp("home") / "lepton", catalog)
    yield running
    running.cli("down")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Live]:
    """A platform of one test, which may kill it."""
    running = start(tmp_path / "lepton", "sqlite")
    yield running
    running.cli("down")


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A damaged table of customers: `;` between fields, duplicates, gaps, and labels spelled in several ways."""
    draw = random.Random(7)
    lines = ["age;income;sex;city;bought"]
    for number in range(600):
        age, income = draw.randint(18, 80), draw.randint(12, 90) * 1000 + number  # no two alike
        sex, city = draw.choice("fm"), draw.choice(CITIES)
        buys = income / 1000 + age + draw.gauss(0, 8) > 95
        label = draw.choice(["yes", "yes", "yes", "Yes", " YES "] if buys else ["no", "no", "no", "No", "NO"])
        age_text = "" if number % 29 == 0 else str(age)
        lines.append(f"{age_text};{income};{sex};{'' if number % 41 == 0 else city};{label}")
        if number % 50 == 0:
            lines.append(lines[-1])
    path = tmp_path_factory.mktemp("files") / "customers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def until(condition: Callable[[], Any], *, within_s: float = 60.0) -> Any:
    """Wait until a condition holds and return what it returned."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)
    return result
