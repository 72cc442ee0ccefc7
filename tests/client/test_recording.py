"""`lepton.start_run`: nothing is lost and nothing comes twice, whatever happens to the program or the platform."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lepton
from lepton.client.machine import Machine
from lepton.client.recording import TrackedRun, sync
from lepton.client.sending import Sender, send_left
from lepton.client.spool import Spool, encode_frame, frames
from lepton.client.surroundings import command
from lepton.core.errors import InvalidInput, Unavailable
from lepton.testing.engines import eventually


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[lepton.Client]:
    """A platform, found by this process and those it starts; the spool is in another home."""
    monkeypatch.delenv("LEPTON_CATALOG", raising=False)
    monkeypatch.delenv("LEPTON_RUN_ID", raising=False)
    with lepton.open(tmp_path / "platform") as opened:
        monkeypatch.setenv("LEPTON_URL", opened.url)
        monkeypatch.setenv("LEPTON_TOKEN", _token(opened))
        monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "home"))
        yield opened


def _token(client: Any) -> str:
    return str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")


def spools(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home" / "spool").glob("*.spool"))


def start(**about: Any) -> TrackedRun:
    return lepton.start_run(system_metrics=False, **about)


def steps(client: lepton.Client, run_id: str, key: str = "loss") -> list[int]:
    return [point.step for curve in client.runs.metrics(run_id).metrics if curve.key == key for point in curve.points]


def seen(client: lepton.Client, run_id: str) -> bool:
    """Whether the platform knows the run: it is told of it by a thread."""
    return run_id in [run.id for run in client.runs.list()]


def test_what_a_program_tells_is_on_the_platform_when_the_run_has_ended(client: lepton.Client, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a note")
    with start(name="first", experiment="demo", params={"lr": 0.1}, tags={"host": "a"}) as run:
        for step in range(100):
            run.metric("loss", 1 / (step + 1), step)
        run.metrics({"accuracy": 0.5, "recall": float("nan")}, step=7)
        run.param("layers", 3)
        run.params({"model": "mlp"})
        run.tag("note", "good")
        run.artifact(tmp_path / "notes.txt")
        run.artifact(b"bytes", "deep/raw.bin")
        run.image("pixels", np.zeros((2, 3, 3), dtype="uint8"))
        run.table("rows", [{"a": 1}, {"a": 2, "b": "x"}])
    ended = client.runs.get(run.id)
    assert (ended.state, ended.task) == ("succeeded", "runs.create")
    assert steps(client, run.id) == list(range(100))
    tracked = client.runs.tracked(run.id)
    assert tracked.params == {"lr": "0.1", "layers": "3", "model": "mlp"}
    assert {"name": "first", "experiment": "demo", "host": "a", "note": "good"}.items() <= tracked.tags.items()
    assert {curve.key: curve.last_value for curve in tracked.metrics} == {
        "accuracy": 0.5, "loss": 0.01, "recall": None,
    }  # fmt: skip
    paths = {artifact.path for artifact in client.runs.artifacts(run.id)}
    assert {"notes.txt", "deep/raw.bin", "images/pixels.png", "tables/rows.json"} <= paths
    assert client.runs.get_artifact(run.id, "images/pixels.png").startswith(b"\x89PNG")
    rows = json.loads(client.runs.get_artifact(run.id, "tables/rows.json"))
    assert rows == {"columns": ["a", "b"], "rows": [[1, None], [2, "x"]]}
    assert spools(tmp_path) == []
    assert list((tmp_path / "home" / "spool").iterdir()) == []


def test_surroundings_are_noted(client: lepton.Client) -> None:
    with start() as run:
        eventually(lambda: seen(client, run.id), "the run is there")
        eventually(lambda: "environment.txt" in {a.path for a in client.runs.artifacts(run.id)}, "packages are listed")
    tags = client.runs.tracked(run.id).tags
    assert tags["python"].count(".") == 2
    assert len(tags["git.commit"]) == 40
    assert b"httpx2==" in client.runs.get_artifact(run.id, "environment.txt")


def test_a_run_that_ends_at_once_has_its_surroundings_too(client: lepton.Client) -> None:
    run = start()
    run.end()
    assert "environment.txt" in [file.path for file in client.runs.artifacts(run.id)]


def test_a_run_fails_with_its_block_without_the_text_of_the_error(client: lepton.Client) -> None:
    with pytest.raises(ValueError, match="canary"), start() as run:
        raise ValueError("canary of the data")
    failed = client.runs.get(run.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.message == "ValueError"
    with pytest.raises(InvalidInput, match="has ended"):
        run.metric("loss", 1.0)


def test_within_a_run_of_lepton_that_run_goes_on(client: lepton.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = client.runs.create(name="outer")
    monkeypatch.setenv("LEPTON_RUN_ID", outer.id)
    with start(params={"depth": 2}) as run:
        run.metric("loss", 1.0, 5)
    assert run.id == outer.id
    assert steps(client, outer.id) == [5]
    assert client.runs.tracked(outer.id).params == {"depth": "2"}
    assert client.runs.get(outer.id).state == "running"  # whoever runs it says how it ends


def test_a_run_that_is_cancelled_on_the_platform_is_told(client: lepton.Client) -> None:
    run = start()
    run.metric("loss", 1.0)
    eventually(lambda: seen(client, run.id), "the run is there")
    client.runs.cancel(run.id)

    def told() -> bool:
        run.metric("loss", 1.0)
        return run.should_stop

    eventually(told, "the program knows")
    run.end()
    assert client.runs.get(run.id).state == "cancelled"


def test_a_platform_that_is_away_is_waited_for(
    client: lepton.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from lepton.client.transport import Transport

    with monkeypatch.context() as away:

        def refuse(*_: object, **__: object) -> bytes:
            raise Unavailable("No platform answers.")

        away.setattr(Transport, "send", refuse)
        run = start(name="patient")
        for step in range(10):
            run.metric("loss", 1.0, step)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            run.end(timeout_s=0.1)
        assert "lepton runs sync" in str(told[0].message)
        assert len(spools(tmp_path)) == 1
    run._thread.join(60)
    assert steps(client, run.id) == list(range(10))
    assert client.runs.get(run.id).state == "succeeded"


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_connection_that_breaks_now_and_then_neither_loses_nor_doubles(
    client: lepton.Client, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    from lepton.client.runs import Runs

    real, count = Runs.track, 0

    def flaky(self: Runs, run_id: str, batch: Any) -> Any:
        nonlocal count
        count += 1
        if count % 3 == 0:
            if lost == "answer":
                real(self, run_id, batch)
            raise Unavailable("The connection broke.")
        return real(self, run_id, batch)

    monkeypatch.setattr(Runs, "track", flaky)
    monkeypatch.setattr("lepton.client.sending._BATCH_BYTES", 100)
    monkeypatch.setattr("lepton.client.recording._SEND_EVERY_S", 0.001)
    monkeypatch.setattr("lepton.client.recording._LONGEST_WAIT_S", 0.001)
    run = start()
    for step in range(30):
        run.metric("loss", 1.0, step)
    run.end()
    run._thread.join(60)
    assert steps(client, run.id) == list(range(30))


PROGRAM = """
import lepton, sys, time
run = lepton.start_run(system_metrics=False)
print(run.id, flush=True)
step = 0
while True:
    run.metric("loss", 1.0, step)
    print(step, flush=True)
    step += 1
    if step % 50 == 0:
        run.artifact(str(step).encode(), "last.txt")
        time.sleep(0.01)
"""


def test_a_program_that_is_killed_while_it_logs_loses_no_point(client: lepton.Client, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    told = -1
    while told < 3000:
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split("\n")
    told = max([told, *(int(line) for line in rest[:-1] if line)])  # the last line may be cut off
    assert len(spools(tmp_path)) == 1
    assert sync() == 1
    kept = steps(client, run_id)
    assert kept == list(range(len(kept)))  # in order, each once
    assert len(kept) >= told + 1
    assert int(client.runs.get_artifact(run_id, "last.txt")) >= told // 50 * 50 - 50
    ended = client.runs.get(run_id)
    assert ended.error is not None
    assert (ended.state, ended.error.message) == ("failed", "The process that recorded this run ended without a word.")
    assert spools(tmp_path) == []
    assert sync() == 0


def test_the_next_program_sends_what_a_killed_one_left(client: lepton.Client, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.stdout.readline()
    process.kill()
    process.communicate()
    with start():
        eventually(lambda: seen(client, run_id), "the other was noted")
        eventually(lambda: client.runs.get(run_id).state == "failed", "the other was sent")
    assert steps(client, run_id)[:1] == [0]


def test_programs_at_the_same_time_do_not_mix(client: lepton.Client, tmp_path: Path) -> None:
    program = """
import lepton, sys
with lepton.start_run(name=sys.argv[1], system_metrics=False) as run:
    for step in range(500):
        run.metric("loss", float(sys.argv[1]), step)
print(run.id)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(n)], stdout=subprocess.PIPE, text=True) for n in range(2)
    ]
    for number, process in enumerate(started):
        run_id = process.communicate(timeout=120)[0].strip()
        assert client.runs.metrics(run_id).values("loss") == [float(number)] * 500
        assert steps(client, run_id) == list(range(500))
    assert spools(tmp_path) == []


def test_a_program_that_forgets_to_end_its_run_has_it_ended(client: lepton.Client) -> None:
    well = "import lepton; run = lepton.start_run(system_metrics=False); run.metric('a', 1); print(run.id)"
    badly = well + "; raise SystemError('x')"
    for program, state in ((well, "succeeded"), (badly, "failed")):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert client.runs.get(done.stdout.strip()).state == state


def test_what_was_meant_for_another_platform_stays(client: lepton.Client, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool.create(folder, "A")
    spool.append({"run_id": "x", "client": "c", "target": "http://elsewhere default", "create": None})
    spool.close()
    assert send_left(folder, client.runs, target=f"{client.url} default") == 0
    assert len(list(folder.glob("*.spool"))) == 1


def test_a_living_program_keeps_its_spool(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, "A")
    assert Spool.take(spool.path) is None
    spool.close()
    taken = Spool.take(spool.path)
    assert taken is not None
    taken.close()


FRAMES = st.lists(
    st.dictionaries(st.text(max_size=3), st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=3), max_size=8
)


@given(FRAMES, st.data())
def test_whatever_byte_the_writer_was_killed_at_the_frames_before_it_are_read(
    payloads: list[dict[str, object]], data: st.DataObject
) -> None:
    written = [encode_frame(payload) for payload in payloads]
    whole = b"".join(written)
    cut = data.draw(st.integers(0, len(whole)))
    read = [payload for payload, _ in frames(whole[:cut])]
    ends = [sum(map(len, written[: n + 1])) for n in range(len(written))]
    assert read == payloads[: sum(end <= cut for end in ends)]


@given(FRAMES.filter(bool), st.data())
def test_a_damaged_byte_ends_what_is_read_and_invents_nothing(
    payloads: list[dict[str, object]], data: st.DataObject
) -> None:
    whole = bytearray(b"".join(encode_frame(payload) for payload in payloads))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    read = [payload for payload, _ in frames(bytes(whole))]
    assert read == payloads[: len(read)]
    assert len(read) < len(payloads)


def test_a_full_disk_costs_points_with_one_warning_and_not_the_work(
    client: lepton.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    with monkeypatch.context() as full:

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        full.setattr("lepton.client.spool.os.write", refuse)
        with pytest.warns(UserWarning, match="No space"):
            run.metric("loss", 1.0, 1)
        run.metric("loss", 1.0, 2)
    run.metric("loss", 1.0, 3)
    run.end()
    assert steps(client, run.id) == [3]


def test_a_call_costs_less_than_50_microseconds(client: lepton.Client) -> None:
    run = start()
    times = []
    for step in range(5000):
        before = time.perf_counter_ns()
        run.metric("loss", 0.5, step)
        times.append(time.perf_counter_ns() - before)
    run.end()
    assert sorted(times)[len(times) // 2] < 50_000  # the median: the machine of a test does other things too
    assert steps(client, run.id) == list(range(5000))


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        (["python", "train.py", "--token", "abc"], "python train.py --token ***"),
        (["python", "train.py", "--api-key=abc", "--lr=0.1"], "python train.py --api-key=*** --lr=0.1"),
        (["python", "train.py", "PASSWORD=abc"], "python train.py PASSWORD=***"),
        (["python", "train.py", "lpt_abcdef"], "python train.py ***"),
        (["python", "train.py", "postgresql://ann:pw@host/db"], "python train.py ***"),
        (["/usr/bin/python", "/a/very/long/folder/of/somebody/train.py"],
         "/usr/bin/python /a/very/long/folder/of/somebody/train.py"),
    ],
)  # fmt: skip
def test_secrets_are_not_in_the_command_that_is_noted(typed: list[str], written: str) -> None:
    assert command(typed) == written


def test_the_machine_is_measured() -> None:
    machine = Machine()
    sum(range(3_000_000))
    found = machine.measure()
    assert 0 <= found["system/memory_percent"] <= 100
    assert 0 <= found["system/disk_percent"] <= 100
    assert found["system/process_memory_mib"] > 10
    assert 0 <= found.get("system/cpu_percent", 0) <= 100


def test_a_sender_asks_where_it_was_when_it_takes_over(client: lepton.Client, tmp_path: Path) -> None:
    run = client.runs.create()
    spool = Spool.create(tmp_path / "spool", "A")
    spool.append({"run_id": run.id, "client": "c", "target": "", "create": None})
    for step in range(5):
        spool.append(["m", step, 0, {"loss": 1.0}])
    first = Sender(spool, client.runs)
    while first.send():
        pass
    spool.append(["m", 5, 0, {"loss": 1.0}])
    second = Sender(spool, client.runs)  # as after a crash, with nothing remembered
    while second.send():
        pass
    assert not second.send()
    second.beat()
    spool.append(["m", 6, 0, {"loss": 1.0}])
    assert second.send()
    assert steps(client, run.id) == list(range(7))
    spool.close()
