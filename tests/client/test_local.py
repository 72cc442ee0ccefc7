"""Starting, finding, stopping and embedding a platform: real processes over a real home."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import lepton
from lepton import local
from lepton.core.errors import Conflict, InvalidInput, Unavailable
from lepton.core.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of an empty home on SQLite; whatever runs over it is stopped in the end."""
    for name in ("LEPTON_URL", "LEPTON_TOKEN", "LEPTON_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEPTON_PORT", "0")
    settings = Settings.from_environment()
    yield settings
    local.down(settings)


def write_server_file(settings: Settings, *, pid: int, started_at: datetime) -> None:
    settings.home.mkdir(exist_ok=True)
    about = {"pid": pid, "url": "http://127.0.0.1:1", "started_at": started_at.isoformat()}
    (settings.home / "server.json").write_text(json.dumps(about))


def test_up_starts_one_platform_and_down_stops_it(settings: Settings) -> None:
    try:
        first = local.up(settings)
        assert not first.already
        again = local.up(settings)
        assert (again.already, again.server) == (True, first.server)
        with local.client_of(settings) as client:
            assert client.me().is_admin
            assert client.create_sign_in_link().url.startswith(f"{first.server.url}/sign-in?code=")
            assert client.datasets.list() == []
        assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in settings.home.iterdir()} == {0}
    finally:
        assert local.down(settings) == first.server
    assert local.status(settings) is None
    assert local.down(settings) is None
    with pytest.raises(Unavailable, match="lepton up"):
        local.client_of(settings)


def test_a_killed_platform_is_noticed_and_started_again(home: Settings) -> None:
    killed = local.up(home).server
    os.kill(killed.pid, signal.SIGKILL)
    again = local.up(home)
    assert not again.already
    assert again.server.pid != killed.pid


def test_a_process_that_has_the_number_of_a_dead_platform_is_not_taken_for_it(home: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        # The process has the number in the file, but began later than the platform that wrote it.
        write_server_file(home, pid=other.pid, started_at=datetime.now(UTC) - timedelta(days=1))
        assert local.status(home) is None
        assert local.down(home) is None
        assert other.poll() is None
        write_server_file(home, pid=other.pid, started_at=datetime.now(UTC))
        assert local.status(home) is not None
        other.communicate(b"\n")
    assert local.status(home) is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": "x", "url": "y", "started_at": "z"}'])
def test_a_broken_server_file_counts_as_no_platform(home: Settings, content: str) -> None:
    home.home.mkdir()
    (home.home / "server.json").write_text(content)
    assert local.status(home) is None


def test_a_platform_that_dies_at_start_leaves_its_last_words(home: Settings) -> None:
    home.home.mkdir(mode=0o700)
    (home.home / "root.key").write_bytes(b"no key")
    (home.home / "root.key").chmod(0o600)
    with pytest.raises(Unavailable, match=r"did not start. Its log .*server.log ends with: .*key"):
        local.up(home)


def test_a_taken_port_is_named_with_another_to_choose(home: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"{port} cannot be used.*LEPTON_PORT={port + 1} lepton up"):
            local.up(replace(home, port=port))


def test_open_brings_its_own_platform_and_takes_it_away_again(home: Settings) -> None:
    with lepton.open() as client:
        assert client.me().is_admin
        assert client.labels.list() == []
        assert lepton.open() is client  # a notebook cell that is run again
        token = client.transport._http.headers["Authorization"].encode().removeprefix(b"Bearer ")
        files = [path for path in home.home.rglob("*") if path.is_file()]
        assert not any(token in path.read_bytes() for path in files)
        with pytest.raises(Conflict, match="open inside another program"):
            local.up(home)
    with pytest.raises(Conflict, match="This client was closed"):
        client.health()
    with lepton.connect(client.url, "lpt_x") as stranger, pytest.raises(Unavailable, match="No platform answers"):
        stranger.health()
    with lepton.open(home.home) as client:
        assert client.me().is_admin


def test_open_connects_to_the_platform_that_runs_there(home: Settings) -> None:
    server = local.up(home).server
    with lepton.open() as client:
        assert client.url == server.url
    assert local.status(home) == server


def test_a_program_that_ends_without_closing_leaves_nothing_running(home: Settings) -> None:
    script = "import lepton; client = lepton.open(); print(client.me().user.name, client.url)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    name, url = done.stdout.split()
    assert name == "owner"
    assert done.stderr == ""
    with lepton.connect(url, "lpt_x") as client, pytest.raises(Unavailable):
        client.health()


def test_open_refuses_an_address_it_cannot_mean(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_CATALOG", "mysql://x")
    with pytest.raises(InvalidInput, match="LEPTON_CATALOG"):
        lepton.open()


@pytest.mark.parametrize("start", [local.up, lambda settings: local.open(settings.home)])
def test_a_home_that_cannot_be_made_gets_a_sentence(settings: Settings, start: Callable[[Settings], object]) -> None:
    file = settings.home.parent / "file"
    file.write_text("")
    with pytest.raises(InvalidInput, match="Choose another one with LEPTON_HOME"):
        start(replace(settings, home=file))
