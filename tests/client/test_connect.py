"""Finding the platform, and never sending its token elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lepton
from lepton.core.errors import InvalidInput, Unauthenticated, Unavailable

LOCAL = "http://127.0.0.1:7070"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LEPTON_URL", "LEPTON_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path))
    return tmp_path


def leave_address(home: Path, *, mode: int = 0o600) -> None:
    file = home / "client.json"
    file.write_text(json.dumps({"url": LOCAL, "token": "lpt_local"}))
    file.chmod(mode)


def token_of(client: lepton.Client) -> str:
    return str(client.transport._http.headers["Authorization"])


def test_the_local_platform_is_found(home: Path) -> None:
    leave_address(home)
    with lepton.connect() as client:
        assert (client.url, token_of(client)) == (LOCAL, "Bearer lpt_local")


def test_the_environment_comes_before_the_local_platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_address(home)
    monkeypatch.setenv("LEPTON_URL", "http://elsewhere:7070")
    monkeypatch.setenv("LEPTON_TOKEN", "lpt_elsewhere")
    with lepton.connect() as client:
        assert (client.url, token_of(client)) == ("http://elsewhere:7070", "Bearer lpt_elsewhere")


def test_the_local_token_is_never_sent_to_another_address(home: Path) -> None:
    leave_address(home)
    with pytest.raises(Unauthenticated, match="no token for http://elsewhere"):
        lepton.connect("http://elsewhere:7070")
    with lepton.connect(LOCAL + "/") as client:
        assert token_of(client) == "Bearer lpt_local"


def test_without_a_platform_it_says_how_to_start_one(home: Path) -> None:
    with pytest.raises(Unavailable, match="lepton up"):
        lepton.connect()


def test_a_token_that_others_can_read_is_refused(home: Path) -> None:
    leave_address(home, mode=0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        lepton.connect()


def test_a_broken_address_file_says_what_to_do(home: Path) -> None:
    leave_address(home)
    (home / "client.json").write_text("{")
    with pytest.raises(InvalidInput, match="lepton down; lepton up"):
        lepton.connect()
