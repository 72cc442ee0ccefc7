"""From a CSV to a prediction through REST alone, and from the endpoint's own address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from journey.journeys import CUSTOMER, Live, until


def test_from_csv_to_prediction(live: Live, customers: Path) -> None:
    address = live.address
    with httpx2.Client(
        base_url=f"{address['url']}/v1", headers={"Authorization": f"Bearer {address['token']}"}, timeout=60
    ) as http:

        def finished(response: httpx2.Response) -> dict[str, Any]:
            assert response.status_code == 202, response.text
            run_id = response.json()["id"]

            def ended() -> dict[str, Any] | None:
                run = http.get(f"/runs/{run_id}").json()
                return run if run["state"] not in ("queued", "running") else None

            run = until(ended)
            assert run["state"] == "succeeded", run
            return run

        run = finished(http.post("/datasets/import", params={"name": "rest"}, content=customers.read_bytes()))
        assert run["outputs"] == ["dataset:rest@1"]
        run = finished(http.post("/datasets/rest/clean", json={"recipe": None, "target": "bought"}))
        assert run["outputs"] == ["dataset:rest@2"]
        body = {"name": "rest", "dataset": "rest@2", "target": "bought", "workers": 2}
        run = finished(http.post("/models/train", json=body))
        assert run["outputs"] == ["model:rest@1"]
        assert http.get("/models/rest@1").json()["metrics"]["roc_auc"] > 0.9
        assert http.post("/endpoints/deploy", json={"name": "rest", "model": "rest@1"}).status_code == 202

        def ready() -> dict[str, Any] | None:
            endpoint = http.get("/endpoints/rest").json()
            assert endpoint["state"] != "failed", endpoint
            return endpoint if endpoint["state"] == "ready" else None

        url = until(ready)["url"]
        through = http.post("/endpoints/rest/predict", json=[CUSTOMER])
        assert through.json()["predictions"][0]["label"] == "yes"
        # The endpoint's own address gives the same answer, to holders of a token only.
        direct = http.post(url, json=[CUSTOMER])
        assert direct.json() == through.json()
        refused = httpx2.post(url, json=[CUSTOMER])
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "unauthenticated"

        tensors = [
            {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
            for name, value in CUSTOMER.items()
        ]
        root = url.partition("/predict")[0]
        answer = http.post(f"{root}/v2/models/rest/infer", json={"id": "7", "inputs": tensors}).json()
        assert answer["id"] == "7"
        label = next(output for output in answer["outputs"] if output["name"] == "label")
        assert label["data"] == ["yes"]
        assert http.delete("/endpoints/rest").status_code == 204
