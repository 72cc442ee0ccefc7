"""``kill -9`` of the control plane loses nothing."""

from __future__ import annotations

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from journey.journeys import CUSTOMER, Live, until

import lepton

LONG = {"solver": "gd", "max_iterations": 4000, "tolerance": 0.0}
"""Enough iterations to be caught in the middle of, on any machine; the result is the same on every one."""


def test_training_goes_on_while_the_control_plane_is_dead_and_is_adopted_afterwards(
    alone: Live, customers: Path
) -> None:
    with alone.client() as client:
        data = client.datasets.clean(client.datasets.import_(customers, name="kill").ref, target="bought")
        run = client.models.train("kill", dataset=data.ref, target="bought", workers=2, params=LONG, wait=False)
        until(lambda: client.runs.metrics(run.id).values("loss"))
    os.kill(alone.pid, signal.SIGKILL)
    alone.cli("up")
    with alone.client() as client:
        assert client.runs.get(run.id).state in ("running", "succeeded")
        ended = client.runs.wait(run.id)
        assert ended.made("model") == ["kill@1"]
        undisturbed = client.models.train("calm", dataset=data.ref, target="bought", workers=2, params=LONG)
        assert client.models.get("kill@1").metrics == undisturbed.metrics


def test_who_waits_and_who_follows_the_log_outlast_a_platform_that_is_killed(alone: Live, customers: Path) -> None:
    url = alone.address["url"]
    alone.environment["LEPTON_PORT"] = url.rpartition(":")[2]  # the next one answers where this one did
    with alone.client() as owner:
        token = owner.tokens.create("waits").secret
    told: list[lepton.client.Run] = []
    with lepton.connect(url, token) as client, ThreadPoolExecutor(2) as threads:
        data = client.datasets.clean(client.datasets.import_(customers, name="kill").ref, target="bought")
        run = client.models.train("kill", dataset=data.ref, target="bought", params=LONG, wait=False)
        waiting = threads.submit(client.runs.wait, run.id, on_progress=told.append)
        following = threads.submit(lambda: [line.seq for line in client.runs.logs(run.id, follow=True)])
        until(lambda: told and client.runs.metrics(run.id).values("loss"))
        os.kill(alone.pid, signal.SIGKILL)
        alone.cli("up")
        assert waiting.result(timeout=120).made("model") == ["kill@1"]
        seen = following.result(timeout=120)
        assert seen == [line.seq for line in client.runs.logs(run.id).lines]


def test_an_endpoint_answers_while_the_control_plane_is_dead(alone: Live, customers: Path) -> None:
    with alone.client() as client:
        data = client.datasets.clean(client.datasets.import_(customers, name="kill").ref, target="bought")
        model = client.models.train("kill", dataset=data.ref, target="bought")
        url = client.endpoints.deploy("kill", model=model.ref).url
    headers = {"Authorization": f"Bearer {alone.address['token']}"}
    before = httpx2.post(url, json=[CUSTOMER], headers=headers)
    assert before.status_code == 200
    os.kill(alone.pid, signal.SIGKILL)
    assert httpx2.post(url, json=[CUSTOMER], headers=headers).json() == before.json()
    alone.cli("up")
    with alone.client() as client:
        assert client.endpoints.get("kill").url == url
        assert client.endpoints.predict("kill", [CUSTOMER])[0].label == "yes"


def test_a_replica_that_is_killed_comes_back(alone: Live, customers: Path) -> None:
    with alone.client() as client:
        data = client.datasets.clean(client.datasets.import_(customers, name="kill").ref, target="bought")
        model = client.models.train("kill", dataset=data.ref, target="bought")
        endpoint = client.endpoints.deploy("kill", model=model.ref)
        port = int(endpoint.url.split(":")[2].partition("/")[0])
        os.kill(_listener(port), signal.SIGKILL)

        def answers() -> bool:
            try:
                return client.endpoints.predict("kill", [CUSTOMER])[0].label == "yes"
            except lepton.core.errors.Unavailable:
                return False

        until(answers)


def test_a_worker_that_is_killed_fails_the_run_with_a_sentence_and_a_retry_ends_well(
    alone: Live, customers: Path
) -> None:
    with alone.client() as client:
        data = client.datasets.clean(client.datasets.import_(customers, name="kill").ref, target="bought")
        run = client.models.train("kill", dataset=data.ref, target="bought", workers=2, params=LONG, wait=False)
        until(lambda: client.runs.metrics(run.id).values("loss"))
        workers = _processes_with("lepton.worker", run.id)
        assert len(workers) == 2
        os.kill(random.Random(1).choice(workers), signal.SIGKILL)
        ended = until(lambda: (seen := client.runs.get(run.id)).ended and seen)
        assert ended.state == "failed"
        assert "SIGKILL" in ended.error.message
        assert run.id in ended.error.message  # it says how to start it again
        assert "kill" not in [model.name for model in client.models.list()]
        until(lambda: not _processes_with("lepton.worker", run.id))
        again = client.runs.retry(run.id)
        assert client.runs.wait(again.id).made("model") == ["kill@1"]


def _processes_with(*words: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if all(word.encode() in command for word in words):
                found.append(int(entry.name))
    return found


def _listener(port: int) -> int:
    wanted = f":{port:04X}"
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(wanted) and line.split()[3] == "0A"
    }
    for pid in _processes_with("lepton.endpoints.replica"):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if any(os.readlink(descriptor) == f"socket:[{inode}]" for inode in inodes):
                return pid
    raise AssertionError("no replica listens there")
