"""Waiting for runs, following logs, sending and saving files, asking endpoints."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from client.fakes import RUN, FakePlatform, Prepared, stream

from lepton.client import Client, Run
from lepton.client.endpoints import Limits
from lepton.core.errors import InvalidInput, NotFound, RunFailed, Unavailable

VERSION = {
    "ref": "houses@1",
    "name": "houses",
    "version": 1,
    "rows": 2,
    "columns": 1,
    "size_bytes": 9,
    "created_at": "2026-01-01T12:00:00Z",
    "created_by": "owner",
    "run_id": "01RUN",
    "parent": None,
    "made_by": "import",
    "schema": [{"name": "area", "type": "number", "class": "plain", "nulls": 0, "distinct": 2, "masked": False}],
}
DONE = RUN | {"state": "succeeded", "progress": 1.0, "outputs": ["dataset:houses@1"]}
ENDPOINT = {
    "name": "houses",
    "model": "houses@1",
    "state": "starting",
    "url": None,
    "created_at": "2026-01-01T12:00:00Z",
    "created_by": "owner",
}


def importing(fake: FakePlatform) -> None:
    fake.on("POST", "/v1/datasets/import", Prepared(RUN, 202))
    fake.on("GET", "/v1/runs/01RUN", stream(RUN, DONE))
    fake.on("GET", "/v1/datasets/houses@1", VERSION)


def test_import_sends_the_file_waits_and_returns_the_version(
    fake: FakePlatform, client: Client, tmp_path: Path
) -> None:
    importing(fake)
    file = tmp_path / "My Houses (2).csv"
    file.write_bytes(b"area\n" + b"1\n" * (1 << 20))
    told: list[float] = []
    sent: list[tuple[int, int | None]] = []
    made = client.datasets.import_(
        file,
        personal=["a", "b"],
        header=True,
        separator=";",
        on_progress=lambda run: told.append(run.progress),
        on_upload=lambda done, size: sent.append((done, size)),
    )
    assert made.ref == "houses@1"
    assert made.schema[0].column_class == "plain"
    request = fake.seen[0]
    assert request.body == file.read_bytes()
    assert request.headers["Content-Length"] == str(file.stat().st_size)
    assert request.query == {
        "project": ["default"],
        "name": ["my-houses-2"],
        "file_name": ["My Houses (2).csv"],
        "personal": ["a", "b"],
        "header": ["true"],
        "separator": [";"],
    }
    assert told == [0.5, 1.0]
    assert sent[-1] == (file.stat().st_size, file.stat().st_size)
    assert len(sent) > 1


@pytest.mark.parametrize(
    ("frame", "kind"),
    [(pd.DataFrame({"area": [1, 2]}), "csv"), (pl.DataFrame({"area": [1, 2]}), "parquet")],
)
def test_import_takes_data_frames(fake: FakePlatform, client: Client, frame: object, kind: str) -> None:
    importing(fake)
    client.datasets.import_(frame, name="houses")
    assert fake.seen[0].query["format"] == [kind]
    body = io.BytesIO(fake.seen[0].body)
    read = pd.read_csv(body) if kind == "csv" else pl.read_parquet(body).to_pandas()
    assert read["area"].tolist() == [1, 2]


def test_import_of_what_is_no_file_says_so(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file .*nowhere.csv"):
        client.datasets.import_(tmp_path / "nowhere.csv")
    with pytest.raises(InvalidInput, match="is a folder"):
        client.datasets.import_(tmp_path)
    with pytest.raises(InvalidInput, match="A int cannot be imported"):
        client.datasets.import_(7)  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="for reading bytes"):
        client.datasets.import_(io.StringIO("a\n1\n"))  # type: ignore[call-overload]


def test_without_waiting_a_slow_verb_returns_the_run(fake: FakePlatform, client: Client) -> None:
    fake.on("POST", "/v1/models/train", Prepared(RUN, 202))
    run = client.models.train("m", dataset="houses@1", target="price", workers=2, params={"solver": "gd"}, wait=False)
    assert isinstance(run, Run)
    assert json.loads(fake.seen[0].body) == {
        "name": "m",
        "dataset": "houses@1",
        "target": "price",
        "recipe": "auto",
        "workers": 2,
        "params": {"solver": "gd"},
        "test_fraction": 0.2,
        "seed": 0,
        "features": None,
    }


def test_a_run_that_fails_raises_its_own_sentence(fake: FakePlatform, client: Client) -> None:
    failed = RUN | {"state": "failed", "error": {"code": "invalid_input", "message": "Column 'x' is empty."}}
    fake.on("GET", "/v1/runs/01RUN", stream(RUN, failed))
    with pytest.raises(RunFailed, match=r"^Column 'x' is empty\.$"):
        client.runs.wait("01RUN")


def test_a_run_that_was_cancelled_says_so(fake: FakePlatform, client: Client) -> None:
    fake.on("GET", "/v1/runs/01RUN", stream(RUN | {"state": "cancelled"}))
    with pytest.raises(RunFailed, match="was cancelled"):
        client.runs.wait("01RUN")


def test_following_a_log_ends_with_the_run(fake: FakePlatform, client: Client) -> None:
    line = json.dumps({"seq": 1, "rank": 0, "time": "2026-01-01T12:00:00Z", "text": "read 5 rows"})
    events = [
        ": hello",
        f"event: run\ndata: {json.dumps(RUN)}",
        f"id: 1\nevent: line\ndata: {line}",
        f"event: end\ndata: {json.dumps(DONE)}\n\n",
    ]
    answer = Prepared("\n\n".join(events).encode(), headers={"Content-Type": "text/event-stream"})
    fake.on("GET", "/v1/runs/01RUN/logs", answer)
    assert [told.text for told in client.runs.logs("01RUN", follow=True)] == ["read 5 rows"]
    assert fake.seen[0].headers["Accept"] == "text/event-stream"


def test_following_the_log_of_no_run_raises_the_platforms_error(client: Client) -> None:
    with pytest.raises(NotFound):
        next(client.runs.logs("01NONE", follow=True))


def test_an_export_appears_only_when_it_is_whole(fake: FakePlatform, client: Client, tmp_path: Path) -> None:
    fake.on("GET", "/v1/datasets/houses/export", Prepared(b"area\n1\n", cut=True), Prepared(b"area\n1\n"))
    with pytest.raises(Unavailable):
        client.datasets.export("houses", tmp_path / "houses.csv")
    assert list(tmp_path.iterdir()) == []
    written = client.datasets.export("houses", tmp_path / "houses.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["houses.csv"]
    assert (written.size_bytes, written.left_out) == (7, ())


def test_an_export_into_a_pipe_or_through_a_link_leaves_both_in_place(
    fake: FakePlatform, client: Client, tmp_path: Path
) -> None:
    fake.on("GET", "/v1/datasets/houses/export", Prepared(b"area\n1\n"))
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    client.datasets.export("houses", tmp_path / "pipe")
    assert os.read(reader, 100) == b"area\n1\n"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    client.datasets.export("houses", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"area\n1\n"


def test_an_export_names_the_columns_that_are_hidden(fake: FakePlatform, client: Client) -> None:
    headers = {"X-Lepton-Masked": "name,gr%C3%B6%C3%9Fe%2C%20cm"}
    fake.on("GET", "/v1/datasets/houses/export", Prepared(b"area\n", headers=headers))
    buffer = io.BytesIO()
    assert client.datasets.export("houses", buffer).left_out == ("name", "größe, cm")
    assert buffer.getvalue() == b"area\n"


def test_an_export_to_a_place_that_is_not_there_says_so(fake: FakePlatform, client: Client, tmp_path: Path) -> None:
    fake.on("GET", "/v1/models/m/export", Prepared(b"onnx"))
    with pytest.raises(InvalidInput, match="cannot be written"):
        client.models.export("m", tmp_path / "no" / "where.onnx")


def test_deploy_waits_until_the_endpoint_answers(fake: FakePlatform, client: Client) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    ready = ENDPOINT | {"state": "ready", "url": "http://127.0.0.1:9/predict/houses"}
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT, ready)
    assert client.endpoints.deploy("houses", model="houses").url == ready["url"]


@pytest.mark.parametrize(
    ("workers", "sent"),
    [(None, {}), (2, {"workers": {"min": 2, "max": 2}}), ((0, 4), {"workers": {"min": 0, "max": 4}})],
)
def test_deploy_takes_a_number_of_workers_or_a_range(
    fake: FakePlatform, client: Client, workers: int | tuple[int, int] | None, sent: dict[str, object]
) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    client.endpoints.deploy("houses", model="houses", workers=workers, wait=False)
    assert json.loads(fake.seen[0].body) == {"name": "houses", "model": "houses"} | sent


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"canary": 10}, {"canary": 10}),
        ({"shadow": True}, {"shadow": True}),
        ({"shares": "flats"}, {"shares": "flats"}),
        ({"limits": Limits(max_rate=5)}, {"limits": {"max_rate": 5, "max_token_rate": None, "max_concurrency": None}}),
    ],
)
def test_deploy_takes_a_canary_a_shadow_a_host_and_limits(
    fake: FakePlatform, client: Client, asked: dict[str, Any], sent: dict[str, object]
) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    client.endpoints.deploy("houses", model="houses", wait=False, **asked)
    assert json.loads(fake.seen[0].body) == {"name": "houses", "model": "houses"} | sent


def test_a_canary_that_went_back_while_it_was_waited_for_raises_the_sentence(
    fake: FakePlatform, client: Client
) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    told = "Canary houses@2 went back, as its file is damaged."
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT | {"state": "ready", "went_back": told})
    with pytest.raises(Unavailable, match="its file is damaged"):
        client.endpoints.deploy("houses", model="houses@2", canary=10)


def test_rollback_waits_until_nobody_meets_what_was_dropped(fake: FakePlatform, client: Client) -> None:
    fake.on("POST", "/v1/endpoints/houses/rollback", Prepared(ENDPOINT, 202))
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT, ENDPOINT | {"state": "ready"})
    assert client.endpoints.rollback("houses").state == "ready"


def test_deploy_that_fails_raises_the_endpoints_sentence(fake: FakePlatform, client: Client) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT | {"state": "failed", "message": "It ran out of memory."})
    with pytest.raises(Unavailable, match="out of memory"):
        client.endpoints.deploy("houses", model="houses")


@pytest.mark.parametrize(
    "rows",
    [{"area": 1}, [{"area": 1}], pd.DataFrame({"area": [1]}), pl.DataFrame({"area": [1]})],
    ids=["one", "list", "pandas", "polars"],
)
def test_predict_takes_rows_in_any_form(fake: FakePlatform, client: Client, rows: object) -> None:
    answer = {"endpoint": "houses", "model": "houses@1", "predictions": [{"value": 12.5}]}
    fake.on("POST", "/v1/endpoints/houses/predict", answer)
    answers = client.endpoints.predict("houses", rows)
    assert (len(answers), answers[0].value, [a.value for a in answers]) == (1, 12.5, [12.5])
    assert json.loads(fake.seen[0].body) == [{"area": 1}]


def test_predict_refuses_what_are_no_rows(client: Client) -> None:
    with pytest.raises(InvalidInput, match="A str cannot be predicted"):
        client.endpoints.predict("houses", "area=1")  # type: ignore[arg-type]
