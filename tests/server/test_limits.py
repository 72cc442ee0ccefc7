"""Bodies: bounded by what arrives, whatever was announced, and read only as fast as they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lepton.access.records import Actor, Role
from lepton.core.errors import InvalidInput
from lepton.platform import Platform
from lepton.runs.records import Run, RunState

KB = 1024


@pytest.fixture
def catalog_url() -> str:
    """What is tested here never differs by catalog."""
    return "sqlite"


@pytest.fixture
def platform(platform: Platform) -> Platform:
    platform.settings = replace(platform.settings, max_body_bytes=64 * KB, max_upload_bytes=256 * KB)
    return platform


class FakeDatasets:
    """Takes in a file and counts it."""

    def __init__(self, run: Run, on_chunk: Callable[[bytes], None] = lambda _: None) -> None:
        self.received = 0
        self.finished = False
        self.failed: Exception | None = None
        self._run = run
        self._on_chunk = on_chunk

    def import_(self, _actor: object, chunks: Iterable[bytes], *, options: object, again: object) -> Run:
        try:
            for chunk in chunks:
                self.received += len(chunk)
                self._on_chunk(chunk)
        except Exception as error:
            self.failed = error
            raise
        self.finished = True
        return self._run


@pytest.fixture
def run(clock: Any) -> Run:
    return Run("R1", "default", "datasets.import", RunState.QUEUED, 1, "owner", clock())


@pytest.fixture
def datasets(platform: Platform, run: Run) -> FakeDatasets:
    platform.datasets = FakeDatasets(run)  # type: ignore[assignment]
    return platform.datasets  # type: ignore[return-value]


def send(app: FastAPI, path: str, token: str, pieces: list[bytes | None], **headers: str) -> tuple[int, bytes, int]:
    """Post pieces straight to the app; None is a sender who hangs up. Returns status, body and how many were taken."""
    taken, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        piece = pieces[taken] if taken < len(pieces) else b""
        taken += 1
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": taken < len(pieces)}

    async def respond(message: Any) -> None:
        sent.append(message)

    head = {"host": "localhost", "authorization": f"Bearer {token}", "content-type": "application/json", **headers}
    address, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": address, "root_path": "",
        "raw_path": address.encode(), "query_string": query.encode(), "server": ("localhost", 80), "client": None,
        "headers": [(key.encode(), value.encode()) for key, value in head.items()], "state": {},
    }  # fmt: skip
    anyio.run(app, scope, receive, respond)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]), taken


IMPORT = "/v1/datasets/import?name=x"


def test_a_body_that_announces_too_much_is_refused_before_it_is_read(
    app: FastAPI, token_of: Callable[..., str], datasets: FakeDatasets
) -> None:
    token = token_of(Role.OWNER)
    for path, limit in (("/v1/projects", 64 * KB), (IMPORT, 256 * KB), ("/v1/endpoints/e/predict", 64 * KB)):
        status, body, taken = send(app, path, token, [b"x"], **{"content-length": str(limit + 1)})
        assert (status, taken) == (413, 0)
        assert b'"too_large"' in body
    assert datasets.received == 0


def test_a_body_that_grows_too_large_is_refused_at_the_limit_and_not_after_it(
    app: FastAPI, token_of: Callable[..., str], datasets: FakeDatasets
) -> None:
    token = token_of(Role.OWNER)
    status, body, taken = send(app, IMPORT, token, [b"x" * 32 * KB] * 100)
    assert (status, taken) == (413, 9)
    assert b"0.25 MiB" in body
    assert datasets.received <= 256 * KB
    assert not datasets.finished
    for path in ("/v1/projects", "/v1/endpoints/e/predict"):
        status, body, taken = send(app, path, token, [b" " * 32 * KB] * 100)
        assert (status, taken) == (413, 3)
        assert b'"too_large"' in body


class Interrupted(list[bytes | None]):
    """Pieces of a body; something happens before the last."""

    def __init__(self, pieces: list[bytes], happen: Callable[[], object]) -> None:
        super().__init__(pieces)
        self._happen = happen

    def __getitem__(self, index: Any) -> Any:
        if index == len(self) - 1:
            self._happen()
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("path", "pieces"),
    [("/v1/projects", [b'{"name":', b'"lab"}']), ("/v1/endpoints/e/predict", [b"[", b"{}]"])],
)
def test_who_is_locked_out_while_the_body_comes_slowly_changes_nothing(
    app: FastAPI, platform: Platform, owner_actor: Actor, monkeypatch: pytest.MonkeyPatch, path: str, pieces: Any
) -> None:
    monkeypatch.setattr("lepton.server.wire.FRESH_S", 0.0)
    token, secret = platform.access.create_token(owner_actor, "slow")
    body = Interrupted(pieces, lambda: platform.access.delete_token(owner_actor, token.id))
    status, answer, _ = send(app, path, secret, body)
    assert (status, b'"unauthenticated"' in answer) == (401, True)
    assert [project.name for project in platform.access.list_projects(owner_actor)] == ["default"]


def test_a_body_that_lies_about_its_length_is_counted_all_the_same(
    app: FastAPI, token_of: Callable[..., str], datasets: FakeDatasets
) -> None:
    status, _, _ = send(app, IMPORT, token_of(Role.OWNER), [b"x" * 32 * KB] * 100, **{"content-length": "10"})
    assert status == 413


def test_a_body_of_exactly_the_limit_is_taken(
    app: FastAPI, token_of: Callable[..., str], datasets: FakeDatasets
) -> None:
    status, _, _ = send(app, IMPORT, token_of(Role.OWNER), [b"x" * 64 * KB] * 4)
    assert status == 202
    assert datasets.finished
    assert datasets.received == 256 * KB


def test_an_upload_is_read_only_as_fast_as_it_is_taken_in(
    app: FastAPI, platform: Platform, token_of: Callable[..., str], run: Run
) -> None:
    ahead: list[int] = []
    pieces: list[bytes | None] = [b"x" * KB] * 50

    def look(_: bytes) -> None:
        ahead.append(counting.taken - len(ahead) - 1)

    class Counting(list[Any]):
        taken = 0

        def __getitem__(self, index: Any) -> Any:
            self.taken += 1
            return super().__getitem__(index)

    counting = Counting(pieces)
    platform.datasets = FakeDatasets(run, look)  # type: ignore[assignment]
    status, _, _ = send(app, IMPORT, token_of(Role.OWNER), counting)
    assert status == 202
    assert len(ahead) == 50
    assert max(ahead) <= 1, "more was read than was asked for"


def test_a_sender_who_hangs_up_in_the_middle_leaves_nothing_half_imported(
    app: FastAPI, token_of: Callable[..., str], datasets: FakeDatasets
) -> None:
    status, body, _ = send(app, IMPORT, token_of(Role.OWNER), [b"a,b\n", b"1,2\n", None])
    assert not datasets.finished
    assert isinstance(datasets.failed, InvalidInput)
    assert status == 400
    assert b"broke off" in body


def test_a_stranger_cannot_make_the_server_read_a_body(app: FastAPI, datasets: FakeDatasets) -> None:
    status, _, taken = send(app, IMPORT, "lpt_unknown", [b"x" * KB] * 10)
    assert (status, taken) == (401, 0)
    assert datasets.received == 0


def test_the_query_of_an_import_reaches_the_operation(
    owner: TestClient, platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def import_(_actor: object, chunks: Iterable[bytes], *, options: object, again: object) -> Run:
        seen.extend([b"".join(chunks), options])
        return run

    monkeypatch.setattr(platform.datasets, "import_", import_)
    response = owner.post(
        "/v1/datasets/import?name=x&separator=%3B&header=false&personal=a&personal=b,c&secret=d&file_name=x.csv",
        content=b"a;b\n",
    )
    assert response.status_code == 202
    body, options = seen
    assert body == b"a;b\n"
    assert (options.name, options.project, options.separator, options.header) == ("x", "default", ";", False)
    assert (options.personal, options.secret, options.file_name) == (("a", "b,c"), ("d",), "x.csv")
