"""What programs send that are neither ours nor Triton's: plain HTTP, Arrow by pyarrow, MLflow's scoring formats."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from endpoints.models import MIXED, ROW
from endpoints.serving_here import PATIENCE_S, Here, predicted, serving

ARROW = "application/vnd.apache.arrow.stream"
ROWS = [ROW, {**ROW, "income": None, "city": "Rome"}]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("blobs"), shop=MIXED) as here:
        yield here


def ask(here: Here, path: str, body: bytes | None = None, kind: str = "application/json", token: str = "good") -> Any:
    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(Request(f"http://{here.address}{path}", body, headers), timeout=PATIENCE_S) as answer:
        return answer.headers, answer.read()


def refused(here: Here, *args: Any) -> tuple[int, Any]:
    with pytest.raises(HTTPError) as caught:
        ask(here, *args)
    return caught.value.code, json.load(caught.value)["error"]


def test_records_and_columns_are_predicted(here: Here) -> None:
    expected = predicted(MIXED, ROWS)
    for body in (ROWS, {"rows": ROWS}, {"columns": {name: [row[name] for row in ROWS] for name in ROW}}):
        answer = json.loads(ask(here, "/predict/shop", json.dumps(body).encode())[1])
        assert [one["label"] for one in answer["predictions"]] == expected["label"].tolist()
        shares = [[one["probabilities"]["no"], one["probabilities"]["yes"]] for one in answer["predictions"]]
        np.testing.assert_array_equal(shares, expected["probabilities"])


def test_a_stream_of_pyarrow_is_answered_with_a_stream(here: Here) -> None:
    table = pa.Table.from_pylist(ROWS)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    headers, body = ask(here, "/predict/shop", out.getvalue(), ARROW)
    assert headers["Content-Type"] == ARROW
    found = pa.ipc.open_stream(body).read_all()
    expected = predicted(MIXED, ROWS)
    assert found["label"].to_pylist() == expected["label"].tolist()
    np.testing.assert_array_equal(found["probability_yes"].to_numpy(), expected["probabilities"][:, 1])
    code, error = refused(here, "/predict/shop", out.getvalue()[:99], ARROW)
    assert (code, error["code"]) == (400, "invalid_input")
    assert error["message"].startswith("The body is no Arrow IPC stream.")


@pytest.mark.parametrize("path", ["/invocations", "/predict/shop/invocations"])
def test_what_mlflows_clients_send_is_predicted(here: Here, path: str) -> None:
    frame = pd.DataFrame(ROWS)
    expected = predicted(MIXED, ROWS)["label"].tolist()
    for body in (
        {"dataframe_split": frame.to_dict(orient="split")},  # its NaN is written as NaN
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": {name: [row[name] for row in ROWS] for name in ROW}},
    ):
        assert json.loads(ask(here, path, json.dumps(body).encode())[1]) == {"predictions": expected}
    assert json.loads(ask(here, path, frame.to_csv(index=False).encode(), "text/csv")[1]) == {"predictions": expected}
    assert ask(here, "/ping", token="")[1]
    assert ask(here, "/version")[1].decode()[0].isdigit()


@pytest.mark.parametrize("path", ["/predict/shop", "/invocations", "/v2/models/shop/infer"])
def test_nothing_is_predicted_without_a_token(here: Here, path: str) -> None:
    assert refused(here, path, b"[]", "application/json", "")[0] == 401
    assert refused(here, path, b"[]", "application/json", "viewer")[0] == 403


def test_the_document_of_the_endpoint_is_there(here: Here) -> None:
    assert json.loads(ask(here, "/predict/shop/openapi.json")[1])["info"]["title"] == "Endpoint shop"
