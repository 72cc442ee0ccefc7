"""The real process: one port, one home, what it writes down about itself, and an orderly end."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lepton.core.settings import Settings
from lepton.server.page import STATIC

DEADLINE_S = 60.0
on_sqlite = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
"""For what never differs by catalog."""


@dataclass
class Process:
    """A server process and what it has said."""

    popen: subprocess.Popen[str]
    home: Path

    def described(self) -> dict[str, Any]:
        """Wait for it to be ready and return what it wrote about itself."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            assert self.popen.poll() is None, self.output()
            try:
                found: dict[str, Any] = json.loads((self.home / "server.json").read_text())
                httpx2.get(f"{found['url']}/v1/health", timeout=2, trust_env=False).raise_for_status()
            except (OSError, httpx2.HTTPError):
                time.sleep(0.02)
            else:
                return found
        raise AssertionError("the server did not get ready")

    def output(self) -> str:
        return self.popen.communicate(timeout=DEADLINE_S)[0]

    def get(self, path: str) -> httpx2.Response:
        client = json.loads((self.home / "client.json").read_text())
        headers = {"Authorization": f"Bearer {client['token']}"}
        return httpx2.get(client["url"] + path, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(**environment: str) -> Process:
        popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "lepton.server"],
            env={
                **os.environ, "LEPTON_HOME": str(settings.home), "LEPTON_CATALOG": settings.catalog,
                "LEPTON_PORT": "0", **environment,
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(Process(popen, settings.home))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


def test_it_starts_answers_says_who_it_is_and_ends_when_told(start: Callable[..., Process]) -> None:
    process = start()
    about = process.described()
    assert about["pid"] == process.popen.pid
    assert set(about) == {"pid", "url", "started_at", "process_start"}
    assert stat.S_IMODE((process.home / "client.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(process.home.stat().st_mode) == 0o700
    me = process.get("/v1/me")
    assert (me.status_code, me.json()["user"]["name"], me.json()["is_admin"]) == (200, "owner", True)
    assert httpx2.get(about["url"] + "/v1/me", trust_env=False).status_code == 401

    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) / 1024 < 150, "an idle control plane takes less than 150 MiB"

    process.popen.send_signal(signal.SIGTERM)
    output = process.output()
    assert process.popen.returncode == 0
    assert "Traceback" not in output
    assert not (process.home / "server.json").exists()
    assert not (process.home / "client.json").exists()


@on_sqlite
def test_a_second_platform_over_the_same_home_is_refused_and_the_first_goes_on(start: Callable[..., Process]) -> None:
    first = start()
    about = first.described()
    second = start()
    output = second.output()
    assert second.popen.returncode == 1
    assert output.startswith("Another platform runs over ")
    assert "lepton down" in output
    assert first.described() == about
    assert first.get("/v1/me").status_code == 200


def test_a_platform_that_was_killed_leaves_nothing_that_keeps_the_next_from_starting(
    start: Callable[..., Process],
) -> None:
    first = start()
    killed = first.described()
    token = json.loads((first.home / "client.json").read_text())["token"]
    first.popen.kill()
    first.output()
    second = start()
    deadline = time.monotonic() + DEADLINE_S
    while (about := second.described()) == killed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert about["pid"] == second.popen.pid
    assert second.get("/v1/me").status_code == 200
    old = httpx2.get(about["url"] + "/v1/me", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert old.status_code == 401, "each start has a token of its own"


@on_sqlite
def test_a_port_in_use_is_named_with_the_way_out(start: Callable[..., Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(LEPTON_PORT=str(port))
        output = process.output()
    assert process.popen.returncode == 1
    assert output.startswith(f"Port {port} on 127.0.0.1 is in use by another program.")
    assert f"LEPTON_PORT={port % 65535 + 1} lepton up" in output
    assert not (process.home / "server.json").exists()


@on_sqlite
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LEPTON_HOST": "no.such.host.invalid"}, "LEPTON_HOST is 'no.such.host.invalid', which is no address"),
        ({"LEPTON_HOST": "192.0.2.1"}, "cannot be used (Cannot assign requested address)"),
        ({"LEPTON_PORT": "many"}, "LEPTON_PORT must be a whole number"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_a_sentence(
    start: Callable[..., Process], environment: dict[str, str], message: str
) -> None:
    process = start(**environment)
    output = process.output()
    assert process.popen.returncode == 1
    assert message in output
    assert "Traceback" not in output


@on_sqlite
def test_the_page_is_there_once_it_is_built(start: Callable[..., Process]) -> None:
    process = start()
    page = httpx2.get(process.described()["url"], trust_env=False)
    assert page.status_code == 200
    assert ("<!doctype html>" in page.text.lower()) == (STATIC / "index.html").exists()


def test_an_upload_and_an_export_stream_through_the_real_server(start: Callable[..., Process]) -> None:
    process = start()
    url = process.described()["url"]
    token = json.loads((process.home / "client.json").read_text())["token"]
    headers = {"Authorization": f"Bearer {token}"}

    def pieces() -> Iterator[bytes]:
        yield b"a,b\n"
        for number in range(2000):
            yield b"%d,%d\n" % (number, number % 7)

    with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        run = client.post("/v1/datasets/import", params={"name": "x"}, content=pieces()).json()
        with client.stream(
            "GET", f"/v1/runs/{run['id']}/logs", headers={"Accept": "text/event-stream"}, timeout=DEADLINE_S
        ) as response:
            found = [(event.event, json.loads(event.data)) for event in httpx2.EventSource(response)]
        assert found[-1][0] == "end"
        assert found[-1][1]["state"] == "succeeded", found[-1][1]["error"]
        exported = client.get("/v1/datasets/x/export", params={"format": "csv"})
    assert exported.text.splitlines()[:2] == ["a,b", "0,0"]
    assert len(exported.text.splitlines()) == 2001
