"""``lepton runs submit`` as it is typed, in a real terminal, against a real platform."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from platforms import embedded

import lepton
from lepton.testing.engines import eventually


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    with embedded(tmp_path_factory.mktemp("submit") / "home") as opened:
        yield opened


@pytest.fixture
def shell(client: lepton.Client) -> dict[str, str]:
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    return {**os.environ, "LEPTON_URL": client.url, "LEPTON_TOKEN": token, "TERM": "xterm", "COLUMNS": "160"}


LEPTON = str(Path(sys.executable).with_name("lepton"))


def typed(shell: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LEPTON, "runs", "submit", *words], cwd=folder, env=shell, capture_output=True, text=True, check=False
    )


def test_the_lines_of_all_workers_are_shown_with_their_ranks(shell: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import os, sys; print('hello', os.environ['RANK'], sys.argv[1:])")
    done = typed(shell, tmp_path, "--workers", "2", "--", "python", "main.py", "--workers", "9", "--json")
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if "hello" in line]
    assert sorted(lines) == [f"{rank} hello {rank} ['--workers', '9', '--json']" for rank in range(2)]
    assert "has succeeded" in done.stdout


def test_with_json_only_the_run_is_printed(shell: dict[str, str], tmp_path: Path) -> None:
    done = typed(shell, tmp_path, "--json", "--name", "quick", "--", "echo", "hi")
    run = json.loads(done.stdout)
    assert (run["state"], run["params"]) == ("succeeded", {"command": "echo hi", "name": "quick"})
    assert done.stderr == ""


def test_like_takes_the_folder_and_what_is_not_said_of_an_earlier_run(shell: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("taken along")
    first = json.loads(typed(shell, tmp_path, "--json", "--workers", "2", "--", "cat", "words.txt").stdout)
    (tmp_path / "words.txt").unlink()
    done = typed(shell, tmp_path, "--like", first["id"])
    assert sorted(line.split(" ", 1)[1] for line in done.stdout.splitlines() if "taken" in line) == [
        "0 taken along", "1 taken along",
    ]  # fmt: skip
    other = json.loads(typed(shell, tmp_path, "--json", "--like", first["id"], "--workers", "1", "--", "ls").stdout)
    assert (other["workers"], other["params"], other["retry_of"]) == (1, {"command": "ls"}, first["id"])


def test_a_run_that_fails_is_exit_code_1_and_its_sentence(shell: dict[str, str], tmp_path: Path) -> None:
    done = typed(shell, tmp_path, "--memory", "64M", "--", "python", "-c", "x = bytearray(300 << 20)")
    assert done.returncode == 1
    assert "The worker used more than the 64M it asked for and was ended. Ask for more: --memory 256M." in done.stderr


def test_secrets_come_from_the_shell_and_not_from_the_command_line(shell: dict[str, str], tmp_path: Path) -> None:
    command = ("--secret", "API_KEY", "--", "bash", "-c", "echo have $API_KEY")
    assert "There is no environment variable 'API_KEY'" in typed(shell, tmp_path, *command).stderr
    done = typed({**shell, "API_KEY": "hunter2hunter2"}, tmp_path, *command)
    assert "have ***" in done.stdout


def test_detached_it_returns_at_once(client: lepton.Client, shell: dict[str, str], tmp_path: Path) -> None:
    done = typed(shell, tmp_path, "--detach", "--json", "--timeout", "30s", "--", "sleep", "60")
    run = json.loads(done.stdout)
    assert run["state"] == "queued"
    client.runs.cancel(run["id"])
    eventually(lambda: client.runs.get(run["id"]).ended, "it has ended")


@pytest.mark.parametrize(("answer", "state"), [("c\n", "cancelled"), ("d\n", "running")])
def test_control_c_asks_whether_to_detach_or_to_cancel(
    client: lepton.Client, shell: dict[str, str], tmp_path: Path, answer: str, state: str
) -> None:
    (tmp_path / "main.py").write_text("import time; print('it is on its way'); time.sleep(60)")
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [LEPTON, "runs", "submit", "--", "python", "main.py"],
        cwd=tmp_path,
        env=shell,
        stdin=end,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 60
        while text not in shown:
            assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], shown
            shown += os.read(terminal, 4096).decode(errors="replace")

    read_until("it is on its way")
    process.send_signal(signal.SIGINT)
    read_until("(d)etach, (c)ancel")
    os.write(terminal, answer.encode())
    read_until("was asked to stop" if state == "cancelled" else "goes on by itself")
    assert process.wait() == 1
    os.close(terminal)
    run = client.runs.list()[0]
    if state == "cancelled":
        eventually(lambda: client.runs.get(run.id).ended, "it has ended")
    assert client.runs.get(run.id).state == state
    if state == "running":
        client.runs.cancel(run.id)
        eventually(lambda: client.runs.get(run.id).ended, "it has ended")
