"""A run and its live log: events while it goes on, an end, and going on after a broken connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from lepton.access.records import Actor, Role
from lepton.core.errors import Unauthenticated
from lepton.platform import Platform
from lepton.runs.records import LogLine, LogPage, Look, Run, RunState
from lepton.server import events

STREAM = {"Accept": "text/event-stream"}


class FakeRuns:
    """A run whose log grows by a line each time somebody looks."""

    def __init__(self, run: Run, lines: int, on_look: Callable[[int], None] = lambda _: None) -> None:
        self.run = run
        self.asked: list[str] = []
        self.begun_after: list[int] = []
        self.watched: list[str] = []
        self._lines = lines
        self._looks = 0
        self._on_look = on_look

    def watch(self, actor: Actor, run_id: str) -> Look:
        self.watched.append(actor.name)
        return self._look_at_run

    def watch_log(self, actor: Actor, run_id: str) -> Look:
        self.asked.append(actor.name)
        return self._look

    def _look_at_run(self, after: int) -> tuple[Run, LogPage]:
        run, page = self._look(after)
        return run, LogPage((), 0, page.ended)

    def _look(self, after: int) -> tuple[Run, LogPage]:
        self._looks += 1
        self.begun_after.append(after)
        self._on_look(self._looks)
        written = min(self._looks, self._lines)
        over = written == self._lines
        lines = tuple(LogLine(n, 0, self.run.created_at, f"line {n}\nof two") for n in range(after + 1, written + 1))
        state = RunState.SUCCEEDED if over else RunState.RUNNING
        return replace(self.run, state=state), LogPage(lines, max(after, written), over)


@pytest.fixture
def runs(platform: Platform, clock: Any, monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    monkeypatch.setattr(events, "FIRST_LOOK_S", 0.0)
    run = Run("R1", "default", "models.train", RunState.RUNNING, 2, "owner", clock(), progress=float("nan"))
    platform.runs = FakeRuns(run, 4)  # type: ignore[assignment]
    return platform.runs  # type: ignore[return-value]


def parse(text: str) -> list[tuple[str, str, Any]]:
    """Read events as (id, event, data)."""
    found = []
    for block in text.strip("\n").split("\n\n"):
        if block.startswith(":"):
            continue
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


def test_lines_and_changes_of_the_run_come_as_they_happen_and_then_the_end(owner: TestClient, runs: FakeRuns) -> None:
    response = owner.get("/v1/runs/R1/logs", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    found = parse(response.text)
    assert [(number, kind) for number, kind, _ in found] == [
        ("1", "line"), ("", "run"), ("2", "line"), ("3", "line"), ("4", "line"), ("", "run"), ("", "end"),
    ]  # fmt: skip
    assert found[0][2] == {"seq": 1, "rank": 0, "time": "2026-01-01T12:00:00Z", "text": "line 1\nof two"}
    assert found[1][2]["state"] == "running"
    assert found[1][2]["progress"] is None, "NaN is not JSON"
    assert found[-1][2]["state"] == "succeeded"


def test_a_run_without_its_log_tells_its_changes_and_its_end_and_asks_once(owner: TestClient, runs: FakeRuns) -> None:
    response = owner.get("/v1/runs/R1", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    found = parse(response.text)
    assert [(number, kind, data["state"]) for number, kind, data in found] == [
        ("", "run", "running"), ("", "run", "succeeded"), ("", "end", "succeeded"),
    ]  # fmt: skip
    assert runs.watched == ["owner"]


def test_who_is_locked_out_while_waiting_is_cut_off(
    owner: TestClient, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN_S", -1.0)
    assert parse(owner.get("/v1/runs/R1", headers=STREAM).text)[-1][1] == "end"
    assert len(runs.watched) == 5, "permission is asked again"


def test_a_stream_ends_without_an_end_when_the_server_stops(
    owner: TestClient, platform: Platform, runs: FakeRuns
) -> None:
    looks: list[int] = []
    owner.app.state.is_closing = lambda: len(looks) == 2  # type: ignore[attr-defined]
    platform.runs = FakeRuns(runs.run, 100, looks.append)  # type: ignore[assignment]
    assert [kind for _, kind, _ in parse(owner.get("/v1/runs/R1/logs", headers=STREAM).text)] == ["line", "run", "line"]


def test_waiting_for_a_run_is_one_line_in_the_audit_log(
    owner: TestClient, platform: Platform, owner_actor: Actor
) -> None:
    with platform.guard.allow(owner_actor, "datasets.import") as tx:
        run = platform.runs.submit(owner_actor, tx, project="default", task="datasets.import", arguments={})
    owner.post(f"/v1/runs/{run.id}/cancel")
    assert parse(owner.get(f"/v1/runs/{run.id}", headers=STREAM).text)[-1][1] == "end"
    look = platform.runs.watch(owner_actor, run.id)
    assert [look(0)[1].ended for _ in range(3)] == [True] * 3
    audited = [entry.action for entry in platform.access.list_audit(owner_actor)]
    assert audited[:5] == ["audit.list", "runs.get", "runs.get", "runs.cancel", "datasets.import"]


def test_a_client_that_reconnects_gets_only_what_it_has_not_seen(owner: TestClient, runs: FakeRuns) -> None:
    response = owner.get("/v1/runs/R1/logs", headers={**STREAM, "Last-Event-ID": "2"})
    assert [number for number, kind, _ in parse(response.text) if kind == "line"] == ["3", "4"]
    response = owner.get("/v1/runs/R1/logs?after=3", headers=STREAM)
    assert [number for number, kind, _ in parse(response.text) if kind == "line"] == ["4"]
    for nonsense in ("x", "-1", "9" * 30):
        owner.get("/v1/runs/R1/logs", headers={**STREAM, "Last-Event-ID": nonsense})
    assert runs.begun_after[0] == 2
    assert runs.begun_after[-3:] == [0, 0, 0]


def test_who_is_locked_out_while_reading_is_cut_off(
    owner: TestClient, platform: Platform, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN_S", -1.0)
    whole = parse(owner.get("/v1/runs/R1/logs", headers=STREAM).text)
    assert [kind for _, kind, _ in whole if kind != "run"] == ["line"] * 4 + ["end"]
    assert len(runs.asked) == 5, "permission is asked again"

    def look(number: int) -> None:
        if number == 2:
            platform.access.authenticate = locked_out  # type: ignore[method-assign]

    def locked_out(_: str) -> Actor:
        raise Unauthenticated("This token is unknown or was deleted.")

    platform.runs = FakeRuns(runs.run, 100, look)  # type: ignore[assignment]
    cut = parse(owner.get("/v1/runs/R1/logs", headers=STREAM).text)
    assert [kind for _, kind, _ in cut] == ["line", "run", "line"]


def test_a_quiet_run_says_now_and_then_that_it_is_still_there(
    owner: TestClient, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", -1.0)
    response = owner.get("/v1/runs/R1/logs", headers={**STREAM, "Last-Event-ID": "3"})
    assert ": still here\n\n" in response.text
    assert parse(response.text)[-1][1] == "end"


def test_a_stream_that_is_not_allowed_is_refused_like_any_request(
    client_of: Callable[..., TestClient], platform: Platform, owner_actor: Actor
) -> None:
    with platform.guard.allow(owner_actor, "datasets.import") as tx:
        run = platform.runs.submit(owner_actor, tx, project="default", task="datasets.import", arguments={})
    response = client_of(Role.CALLER).get(f"/v1/runs/{run.id}/logs", headers=STREAM)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "forbidden"


def test_the_log_of_a_real_run_that_was_cancelled_ends(
    owner: TestClient, platform: Platform, owner_actor: Actor
) -> None:
    with platform.guard.allow(owner_actor, "datasets.import") as tx:
        run = platform.runs.submit(owner_actor, tx, project="default", task="datasets.import", arguments={})
    assert owner.post(f"/v1/runs/{run.id}/cancel").json()["state"] == "cancelled"
    found = parse(owner.get(f"/v1/runs/{run.id}/logs", headers=STREAM).text)
    assert [(kind, data["state"]) for _, kind, data in found] == [("run", "cancelled"), ("end", "cancelled")]
    assert owner.get(f"/v1/runs/{run.id}/logs").json() == {"lines": [], "next": 0, "ended": True}
    assert owner.get(f"/v1/runs/{run.id}/metrics").json() == {"metrics": []}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/logs"), ("GET", "/metrics"), ("POST", "/cancel"), ("POST", "/retry")]
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_run_of_another_project_answers_exactly_as_one_that_does_not_exist(
    client_of: Callable[..., TestClient], platform: Platform, owner_actor: Actor, method: str, path: str, accept: str
) -> None:
    platform.access.create_project(owner_actor, "hush")
    owner_actor = platform.access.authenticate(platform.access.mint_local_token())
    with platform.guard.allow(owner_actor, "datasets.import", project="hush") as tx:
        run = platform.runs.submit(owner_actor, tx, project="hush", task="datasets.import", arguments={})
    nothing = run.id[:-1] + ("0" if run.id[-1] != "0" else "1")
    client = client_of(Role.EDITOR)
    answers = []
    for run_id in (run.id, nothing):
        response = client.request(method, f"/v1/runs/{run_id}{path}", headers={"Accept": accept})
        error = response.json()["error"]
        answers.append((response.status_code, error["code"], error["message"].replace(run_id, "ID")))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert "hush" not in answers[0][2]
