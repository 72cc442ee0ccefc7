"""Bad input of every kind, against a real platform: one JSON shape, one sentence, nothing half-written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from journey.journeys import CUSTOMER, Live, until

SECRET = "zebra-crossing-4711"
"""Stands in the data where it is wrong, and must come back in no sentence."""
RAGGED = "a,b,c\n" + "".join(",".join([SECRET] * (n % 7 + 4)) + "\n" for n in range(21)) + "1,2,3\n"


class Api:
    """The REST of a platform, and what is in it."""

    def __init__(self, live: Live) -> None:
        address = live.address
        headers = {"Authorization": f"Bearer {address['token']}"}
        self.http = httpx2.Client(base_url=f"{address['url']}/v1", headers=headers, timeout=60)

    def error(self, method: str, path: str, **request: Any) -> dict[str, str]:
        """Send what is wrong; return the error, of the answer or of the run that it started."""
        response = self.http.request(method, path, **request)
        if response.status_code == 202:
            run_id = response.json()["id"]
            run = until(lambda: (seen := self.http.get(f"/runs/{run_id}").json())["state"] not in WAITING and seen)
            assert run["state"] == "failed", run
            return dict(run["error"])
        assert response.status_code >= 400, response.text
        body = response.json()
        assert set(body) == {"error"}
        assert set(body["error"]) == {"code", "message", "request_id"}
        return dict(body["error"])

    def names(self) -> list[list[str]]:
        """Names and numbers of versions of all that there is."""
        found = []
        for noun in ("datasets", "models", "endpoints"):
            items = self.http.get(f"/{noun}").json()["items"]
            found.append([f"{item['name']} {item.get('latest', item.get('model'))}" for item in items])
        return found

    def finished(self, response: httpx2.Response) -> None:
        """Wait for a run that has to succeed."""
        run_id = response.json()["id"]
        run = until(lambda: (seen := self.http.get(f"/runs/{run_id}").json())["state"] not in WAITING and seen)
        assert run["state"] == "succeeded", run


WAITING = ("queued", "running")


@pytest.fixture(scope="module")
def api(live: Live) -> Iterator[Api]:
    """A platform with a dataset, a model and an endpoint, which no wrong input may change."""
    api = Api(live)
    draw = random.Random(2)
    rows = ["age,income,sex,city,bought,always"]
    for _ in range(80):
        age, income = draw.randint(18, 80), draw.randint(12, 90) * 1000
        label = "yes" if age + income / 1000 > 95 else "no"
        rows.append(f"{age},{income},{draw.choice('fm')},{draw.choice(('Bern', 'Graz'))},{label},{SECRET}")
    api.finished(api.http.post("/datasets/import?name=good", content="\n".join(rows).encode()))
    api.finished(api.http.post("/models/train", json={"name": "good", "dataset": "good@1", "target": "bought"}))
    api.http.post("/endpoints/deploy", json={"name": "good", "model": "good@1"})
    until(lambda: api.http.get("/endpoints/good").json()["state"] == "ready")
    yield api
    api.http.close()


def imported(content: bytes, **query: str) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/datasets/import", {"params": {"name": "bad"} | query, "content": content}


def trained(**body: Any) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/models/train", {"json": {"name": "bad", "dataset": "good@1", "target": "bought"} | body}


def cleaned(*steps: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/datasets/good@1/clean", {"json": {"recipe": {"steps": list(steps)}}}


def predicted(body: bytes | list[Any]) -> tuple[str, str, dict[str, Any]]:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    return "POST", "/endpoints/good/predict", sent | {"headers": {"Content-Type": "application/json"}}


WRONG: dict[str, tuple[tuple[str, str, dict[str, Any]], str, str]] = {
    "an empty file": (imported(b""), "invalid_input", "is empty"),
    "a header without rows": (imported(b"a,b\n"), "invalid_input", "row"),
    "a broken CSV": (imported(RAGGED.encode()), "invalid_input", "line"),
    "a wrong encoding": (
        imported("a,b\nSüd,1\n".encode("latin-1") * 3, encoding="utf-8"),
        "invalid_input",
        "utf-8",
    ),
    "an encoding that there is not": (imported(b"a\n1\n", encoding="klingon"), "invalid_input", "klingon"),
    "a picture": (imported(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 50), "invalid_input", ""),
    "a damaged Parquet file": (imported(b"PAR1" + b"x" * 200 + b"PAR1", format="parquet"), "invalid_input", "Parquet"),
    "an impossible name": (imported(b"a\n1\n", name="../etc"), "invalid_input", "cannot name a dataset"),
    "a personal column that is not there": (imported(b"a\n1\n2\n", personal="ssn"), "invalid_input", "'ssn'"),
    "a missing target": (trained(target="boughtt"), "", "'boughtt'"),
    "a constant target": (trained(target="always"), "invalid_input", "'always'"),
    "a feature that is not there": (trained(features=["agee"]), "", "'agee'"),
    "no workers": (trained(workers=0), "invalid_input", "workers"),
    "an unknown recipe": (trained(recipe="magic"), "invalid_input", "recipe"),
    "an unknown version": (trained(dataset="good@9"), "not_found", "no version 9"),
    "an unknown dataset": (trained(dataset="nothing"), "not_found", "nothing"),
    "an unknown step": (cleaned({"step": "drop_duplicate"}), "invalid_input", "drop_duplicates"),
    "an unknown column": (cleaned({"step": "drop_missing", "columns": ["agee"]}), "invalid_input", "'agee'"),
    "a fraction too many": (
        ("POST", "/datasets/good/split", {"json": {"fractions": {"train": 0.8, "test": 0.4}}}),
        "invalid_input",
        "1",
    ),
    "a wrong type": (predicted([CUSTOMER | {"age": SECRET}]), "invalid_input", "column 'age' must be"),
    "a missing field": (predicted([{"age": 1}]), "invalid_input", "lacks the fields"),
    "an unknown field": (predicted([CUSTOMER | {"height": 1}]), "invalid_input", "unknown field 'height'"),
    "NaN": (predicted(b'[{"age": NaN, "income": 1, "sex": "f", "city": "Bern"}]'), "invalid_input", "JSON"),
    "no JSON": (predicted(b"age=1"), "invalid_input", "JSON"),
    "too large a body": (predicted(b" " * (9 << 20)), "too_large", "8"),
    "an unknown endpoint": (("POST", "/endpoints/none/predict", {"json": [CUSTOMER]}), "not_found", "'none'"),
    "an unknown route": (("GET", "/nothing", {}), "not_found", ""),
    "a wrong method": (("DELETE", "/runs", {}), "", ""),
}


@pytest.mark.parametrize("kind", WRONG)
def test_bad_input_gets_one_sentence_and_changes_nothing(api: Api, kind: str) -> None:
    (method, path, request), code, said = WRONG[kind]
    before = api.names()
    error = api.error(method, path, **request)
    assert said in error["message"]
    assert error["code"] == code or not code
    assert error["code"] != "internal"
    assert SECRET not in error["message"]
    assert error["message"].endswith((".", "?", "'", ")")) or ": " in error["message"]
    assert len(error["message"]) < 500
    assert api.names() == before


def test_an_expired_token_says_when_and_what_to_do(api: Api) -> None:
    made = api.http.post("/tokens", json={"name": "short", "expires_in_s": 1}).json()

    def refusal() -> dict[str, Any] | None:
        response = api.http.get("/datasets", headers={"Authorization": f"Bearer {made['secret']}"})
        return response.json() if response.status_code == 401 else None

    error = until(refusal)["error"]
    assert error["code"] == "unauthenticated"
    assert str(datetime.fromisoformat(made["expires_at"]).year) in error["message"]
    assert "lepton tokens create" in error["message"]
