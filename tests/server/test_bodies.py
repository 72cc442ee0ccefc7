"""Records become exactly the JSON of the interface; what is not a number becomes null."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.refs import Ref
from lepton.datasets import profile, recipe, records
from lepton.datasets.reading import Detected, Rejected
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Column
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import (
    Beside,
    Companion,
    Compared,
    Deployed,
    Endpoint,
    EndpointDetail,
    EndpointState,
    ReplicaProcess,
    Role,
)
from lepton.endpoints.replica.config import Limits, Workers
from lepton.endpoints.replica.control import MachineStatus, ReplicaStatus, WorkerStatus
from lepton.models import records as models
from lepton.models.signature import Input, Signature, Task
from lepton.platform import Platform
from lepton.runs.engines.processes import ProcessMark
from lepton.runs.records import MetricPoint, Run, RunState
from lepton.server.bodies.runs import RunAnswer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
TIME = "2026-01-02T03:04:05.678900Z"
DATASET = records.DatasetVersion("D1", "default", "cancer", 2, 569, 3, 4096, NOW, "ana", "R1", "cancer@1", "clean")
DATASET_JSON = {
    "ref": "cancer@2", "name": "cancer", "version": 2, "rows": 569, "columns": 3, "size_bytes": 4096,
    "created_at": TIME, "created_by": "ana", "run_id": "R1", "parent": "cancer@1", "made_by": "clean",
}  # fmt: skip
MODEL = models.ModelVersion(
    "M1", "default", "cancer", 1, Task.CLASSIFICATION, "logistic_regression", "diagnosis", "cancer@2", "R2", NOW, "ana",
    1234, "ab" * 32, {"roc_auc": 0.99, "log_loss": math.inf},
)  # fmt: skip
MODEL_JSON = {
    "ref": "cancer@1", "name": "cancer", "version": 1, "task": "classification", "recipe": "logistic_regression",
    "target": "diagnosis", "dataset": "cancer@2", "run_id": "R2", "created_at": TIME, "created_by": "ana",
    "size_bytes": 1234, "sha256": "ab" * 32, "metrics": {"roc_auc": 0.99, "log_loss": None},
}  # fmt: skip
SIGNATURE = Signature(
    Task.CLASSIFICATION, "diagnosis", ColumnType.BOOLEAN,
    (Input("area", ColumnType.NUMBER), Input("grade", ColumnType.TEXT, nullable=False, values=("low", "high"))),
    (False, True),
)  # fmt: skip
SIGNATURE_JSON = {
    "task": "classification", "target": "diagnosis", "classes": [False, True],
    "inputs": [
        {"name": "area", "type": "number", "nullable": True, "values": None},
        {"name": "grade", "type": "text", "nullable": False, "values": ["low", "high"]},
    ],
}  # fmt: skip
RUN = Run(
    "R2", "default", "models.train", RunState.FAILED, 2, "ana", NOW, NOW, NOW, "invalid_input", "No.", 0.5, "fitting",
    {"l2": 0.1, "solver": "gd", "flag": True, "seed": 0, "none": None}, ("dataset:cancer@2",), (), "R0",
)  # fmt: skip
RUN_JSON = {
    "id": "R2", "task": "models.train", "verb": "models.train",
    "state": "failed", "workers": 2, "progress": 0.5, "message": "fitting",
    "params": {"l2": 0.1, "solver": "gd", "flag": True, "seed": 0, "none": None}, "inputs": ["dataset:cancer@2"],
    "outputs": [], "error": {"code": "invalid_input", "message": "No."}, "submitted_by": "ana", "created_at": TIME,
    "started_at": TIME, "ended_at": TIME, "retry_of": "R0",
    "resources": {"cpus": 1.0, "memory_mb": 0, "gpus": 0},
    "priority": 0,
    "attempt": 0,
    "retries": 0,
    "timeout_s": None,
    "after": [],
    "reused_from": None,
    "columns": {},
}  # fmt: skip
ENDPOINT = Endpoint(
    "E1", "default", "cancer", "cancer@1", "M1", "B1", 1, EndpointState.READY, "",
    ReplicaProcess(ProcessMark(1, 2, "boot"), 41234, 1), "127.0.0.1", Workers(1, 4, replicas=3),
    NOW, "ana", (Companion(Role.CANARY, "cancer@2", "M2", "B2", 10, NOW),), "cancer@0", "It failed.",
    Limits(100.0, None, 8), shares="houses",
)  # fmt: skip
ENDPOINT_JSON = {
    "name": "cancer", "model": "cancer@1", "state": "ready", "url": "http://127.0.0.1:41234/predict/cancer",
    "message": "", "shares": "houses",
    "workers": {"min": 1, "max": 4, "replicas": 3}, "created_at": TIME, "created_by": "ana", "previous": "cancer@0",
    "companions": [{"role": "canary", "model": "cancer@2", "percent": 10, "since": TIME}], "went_back": "It failed.",
    "limits": {"max_rate": 100.0, "max_token_rate": None, "max_concurrency": 8},
}  # fmt: skip
MACHINE_JSON = {"slot": 1, "machine": "10.0.0.7", "state": "ready", "message": ""}
DEPLOYED_JSON = {
    "model": "cancer@2", "role": "shadow", "percent": 0, "requests": 9, "errors": 1, "limited": 0, "p50_ms": 1.5,
    "p99_ms": None, "comparison": {
        "rows": 8, "same_percent": 50.0, "mean_difference": 0.25, "largest_difference": 1.0, "failed": 1, "skipped": 2,
    },
}  # fmt: skip
WORKER_JSON = {
    "slot": 0, "pid": 77, "state": "ready", "restarts": 1, "in_flight": 3, "queued": 2, "requests": 9, "errors": 1,
    "machine": "10.0.0.7",
}  # fmt: skip


@pytest.fixture
def catalog_url() -> str:
    """What is tested here never differs by catalog."""
    return "sqlite"


@pytest.fixture
def answers(platform: Platform, owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let an operation return a record, and ask the route for it."""

    def answers(noun: str, verb: str, record: object, path: str, method: str = "GET", **options: Any) -> Any:
        operations = getattr(platform, noun)
        monkeypatch.setattr(operations, verb, lambda *_, **__: record)
        response = owner.request(method, path, **options)
        assert response.status_code < 300, response.text
        return json.loads(response.content, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))

    return answers


def test_a_run(answers: Callable[..., Any]) -> None:
    assert answers("runs", "get", RUN, "/v1/runs/R2") == RUN_JSON
    assert answers("runs", "list", [RUN], "/v1/runs") == {"items": [RUN_JSON]}
    assert answers("runs", "retry", RUN, "/v1/runs/R2/retry", "POST") == RUN_JSON


def test_a_run_that_has_not_failed_has_no_error() -> None:
    run = Run("R", "default", "models.train", RunState.QUEUED, 1, "ana", NOW)
    answer = json.loads(RunAnswer.model_validate(run).model_dump_json())
    assert answer["error"] is None
    assert answer["started_at"] is None
    assert set(answer) == set(RUN_JSON)


def test_the_metrics_of_a_run_by_name_in_the_order_of_measuring(answers: Callable[..., Any]) -> None:
    points = [MetricPoint("loss", 1, NOW, 0.5), MetricPoint("auc", 1, NOW, 1.0), MetricPoint("loss", 2, NOW, math.nan)]
    assert answers("runs", "metrics", points, "/v1/runs/R2/metrics") == {
        "metrics": [
            {"key": "auc", "points": [{"step": 1, "time": TIME, "value": 1.0}]},
            {
                "key": "loss",
                "points": [{"step": 1, "time": TIME, "value": 0.5}, {"step": 2, "time": TIME, "value": None}],
            },
        ]
    }


def test_datasets(answers: Callable[..., Any]) -> None:
    summary = records.DatasetSummary("cancer", 2, (DATASET,))
    assert answers("datasets", "list", [summary], "/v1/datasets") == {
        "items": [{"name": "cancer", "latest": 2, "versions": [DATASET_JSON]}]
    }
    schema = (
        Column("area", ColumnType.NUMBER, nulls=0, distinct=500),
        Column("ssn", ColumnType.TEXT, ColumnClass.PERSONAL, masked=True),
    )
    detail = records.DatasetDetail(DATASET, schema, (DATASET,))
    assert answers("datasets", "get", detail, "/v1/datasets/cancer@2") == {
        **DATASET_JSON,
        "schema": [
            {"name": "area", "type": "number", "class": "plain", "masked": False, "nulls": 0, "distinct": 500},
            {"name": "ssn", "type": "text", "class": "personal", "masked": True, "nulls": None, "distinct": None},
        ],
        "versions": [DATASET_JSON],
    }


def test_a_profile(answers: Callable[..., Any]) -> None:
    area = profile.ColumnProfile(
        "area", ColumnType.NUMBER, ColumnClass.PLAIN, nulls=1, distinct=3, mean=math.nan, std=1.5, min=1, max=2.5,
        quantiles={"0.5": 2.0}, histogram=profile.Histogram((1.0, 2.0, 2.5), (2, 1)),
        top_values=(profile.TopValue("low", 2), profile.TopValue(True, 1)), warnings=("Has outliers.",),
    )  # fmt: skip
    hidden = profile.ColumnProfile("ssn", ColumnType.TEXT, ColumnClass.SECRET, masked=True)
    steps = recipe.Recipe((recipe.FillMissing(columns=("area",)),))
    found = records.DatasetProfile(DATASET, (area, hidden), 12, steps)
    empty = dict.fromkeys(("nulls", "distinct", "mean", "std", "min", "max", "quantiles", "histogram", "top_values"))
    assert answers("datasets", "profile", found, "/v1/datasets/cancer/profile") == {
        "ref": "cancer@2",
        "rows": 569,
        "duplicate_rows": 12,
        "suggested_recipe": {
            "steps": [{"step": "fill_missing", "columns": ["area"], "strategy": "median", "value": None}]
        },
        "columns": [
            {
                "name": "area", "type": "number", "class": "plain", "masked": False, "nulls": 1, "distinct": 3,
                "mean": None, "std": 1.5, "min": 1, "max": 2.5, "quantiles": {"0.5": 2.0},
                "histogram": {"edges": [1.0, 2.0, 2.5], "counts": [2, 1]},
                "top_values": [{"value": "low", "count": 2}, {"value": True, "count": 1}],
                "warnings": ["Has outliers."],
            },
            {"name": "ssn", "type": "text", "class": "secret", "masked": True, "warnings": [], **empty},
        ],
    }  # fmt: skip


def test_rows_keep_the_types_of_their_cells(answers: Callable[..., Any]) -> None:
    page = records.RowsPage(("a", "b"), [[1, "1"], [True, 1.0], [None, math.nan], [1 << 60, "é"]], 4, ("b",))
    answer = answers("datasets", "rows", page, "/v1/datasets/cancer/rows")
    assert answer == {
        "columns": ["a", "b"],
        "rows": [[1, "1"], [True, 1.0], [None, None], [1 << 60, "é"]],
        "total": 4,
        "masked": ["b"],
    }
    assert [[type(cell) for cell in row] for row in answer["rows"][:2]] == [[int, str], [bool, float]]


def test_a_report(answers: Callable[..., Any]) -> None:
    step = StepReport("drop_duplicates", 581, 569, changed={"area": 3}, fitted={"area": {"mean": 1.5}})
    report = records.DatasetReport(
        DATASET,
        recipe.Recipe((recipe.DropDuplicates(),)),
        (step,),
        (Rejected(17, "has 4 fields instead of 3"),),
        1,
        Detected("csv", ";", "utf-8", True, '"'),
    )
    assert answers("datasets", "report", report, "/v1/datasets/cancer/report") == {
        "made_by": "clean",
        "recipe": {"steps": [{"step": "drop_duplicates", "columns": None}]},
        "steps": [
            {
                "step": "drop_duplicates", "summary": step.summary, "rows_before": 581,
                "rows_after": 569, "cells_changed": 3, "columns": [], "changed": {"area": 3},
                "fitted": {"area": {"mean": 1.5}},
            }
        ],
        "rejected": [{"line": 17, "reason": "has 4 fields instead of 3"}],
        "rejected_total": 1,
        "detected": {"format": "csv", "separator": ";", "encoding": "utf-8", "header": True, "quote": '"'},
    }  # fmt: skip


def test_models(answers: Callable[..., Any]) -> None:
    summary = models.ModelSummary("cancer", (MODEL,))
    assert answers("models", "list", [summary], "/v1/models") == {
        "items": [{"name": "cancer", "latest": 1, "versions": [MODEL_JSON]}]
    }
    plot = models.Plot("roc", {"fpr": [0.0, 1.0], "tpr": (0.0, 1.0), "auc": math.nan, "classes": ["a", 1]})
    evaluation = models.Evaluation("cancer-test@1", {"roc_auc": 0.98}, NOW, "R3", (plot,))
    detail = models.ModelDetail(MODEL, SIGNATURE, (plot,), (evaluation,), (MODEL,), ("Column 'id' is left out.",))
    plot_json = {"kind": "roc", "data": {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0], "auc": None, "classes": ["a", 1]}}
    assert answers("models", "get", detail, "/v1/models/cancer") == {
        **MODEL_JSON,
        "signature": SIGNATURE_JSON,
        "plots": [plot_json],
        "evaluations": [
            {"dataset": "cancer-test@1", "metrics": {"roc_auc": 0.98}, "created_at": TIME, "run_id": "R3",
             "plots": [plot_json]}
        ],
        "versions": [MODEL_JSON],
        "notes": ["Column 'id' is left out."],
    }  # fmt: skip


def test_a_lineage_says_from_and_to(answers: Callable[..., Any]) -> None:
    lineage = models.Lineage(
        (models.Node("dataset:cancer@2", "dataset", "cancer@2"), models.Node("run:R2", "run", "models.train", "2 s")),
        (models.Edge("dataset:cancer@2", "run:R2"),),
    )
    assert answers("models", "lineage", lineage, "/v1/models/cancer/lineage") == {
        "nodes": [
            {"id": "dataset:cancer@2", "kind": "dataset", "label": "cancer@2", "detail": ""},
            {"id": "run:R2", "kind": "run", "label": "models.train", "detail": "2 s"},
        ],
        "edges": [{"from": "dataset:cancer@2", "to": "run:R2"}],
    }


def test_endpoints(answers: Callable[..., Any]) -> None:
    assert answers("endpoints", "list", [ENDPOINT], "/v1/endpoints") == {"items": [ENDPOINT_JSON]}
    body = {"name": "cancer", "model": "cancer@1"}
    assert answers("endpoints", "deploy", ENDPOINT, "/v1/endpoints/deploy", "POST", json=body) == ENDPOINT_JSON
    replica = ReplicaStatus(
        pid=76, told=1, serving=1, coming=False, message="", host="127.0.0.1", port=41234, grpc_port=0,
        min=1, max=4, wanted=2, requests=10, errors=1, workers=(WorkerStatus(generation=1, **WORKER_JSON),),
        machines=(MachineStatus(**MACHINE_JSON),), replicas=3,
    )  # fmt: skip
    for status, shown in (
        (
            replica,
            {
                "wanted": 2,
                "grpc_port": 0,
                "requests": 10,
                "errors": 1,
                "workers": [WORKER_JSON],
                "machines": [MACHINE_JSON],
            },
        ),
        (None, None),
    ):
        compared = Compared(8, 50.0, 0.25, 1.0, 1, 2)
        shadow = Deployed("cancer@2", "shadow", 0, 9, 1, 0, 1.5, None, compared)
        detail = EndpointDetail(ENDPOINT, SIGNATURE, status, (shadow,))
        assert answers("endpoints", "get", detail, "/v1/endpoints/cancer") == {
            **ENDPOINT_JSON,
            "signature": SIGNATURE_JSON,
            "replica": shown,
            "rollout": [DEPLOYED_JSON],
            "drift": "stable",
        }
    assert answers("endpoints", "rollback", ENDPOINT, "/v1/endpoints/cancer/rollback", "POST") == ENDPOINT_JSON
    raw = b'{"predictions":[{"value":1.5}]}'
    predicted = answers("endpoints", "predict", raw, "/v1/endpoints/cancer/predict", "POST", content=b"[{}]")
    assert predicted == {"predictions": [{"value": 1.5}]}


def test_a_request_to_deploy_reaches_the_operation_as_it_was_sent(
    platform: Platform, owner: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []

    def deploy(*_: object, **asked: object) -> Endpoint:
        seen.append(asked)
        return ENDPOINT

    monkeypatch.setattr(platform.endpoints, "deploy", deploy)
    body = {"name": "cancer", "model": "cancer@1"}
    nothing = {"asked": Asked(), "beside": None, "project": "default"}
    for said, asked in (
        ({}, {}),
        ({"workers": {"min": 0, "max": 4}}, {"asked": Asked(workers=Workers(0, 4))}),
        ({"replicas": 3}, {"asked": Asked(replicas=3)}),
        ({"shares": "houses"}, {"asked": Asked(shares="houses")}),
        ({"canary": 10}, {"beside": Beside(Role.CANARY, 10)}),
        ({"shadow": True}, {"beside": Beside(Role.SHADOW)}),
        ({"limits": {"max_rate": 0, "max_concurrency": 8}}, {"asked": Asked(limits=Limits(0, None, 8))}),
    ):
        assert owner.post("/v1/endpoints/deploy", json=body | said).status_code == 202
        assert seen.pop() == nothing | asked
    for wrong, sentence in (
        ({"workers": {"min": 3, "max": 2}}, "cannot have from 3 to 2 workers"),
        ({"canary": 100}, "cannot answer 100 percent of the requests. From 1 to 99"),
        ({"canary": 10, "shadow": True}, "either a canary or a shadow"),
        ({"limits": {"max_rate": -1}}, "or 0 for none"),
    ):
        refused = owner.post("/v1/endpoints/deploy", json=body | wrong)
        assert refused.status_code == 400
        assert sentence in refused.json()["error"]["message"]
    assert seen == []


def test_a_request_to_train_reaches_the_operation_as_it_was_sent(
    platform: Platform, owner: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[models.TrainRequest] = []
    monkeypatch.setattr(platform.models, "train", lambda _, *, request: (seen.append(request), RUN)[1])
    body = {
        "name": "m", "dataset": "cancer@2", "target": "y", "recipe": "auto", "workers": 2, "seed": 7,
        "params": {"solver": "gd", "l2": 1, "tolerance": 1e-6, "flag": True, "none": None}, "test_fraction": 0.25,
        "features": ["a", "b"],
    }  # fmt: skip
    assert owner.post("/v1/models/train?project=default", json=body).status_code == 202
    assert seen == [
        models.TrainRequest(
            "m",
            Ref("cancer", 2),
            "y",
            workers=2,
            seed=7,
            params=body["params"],
            test_fraction=0.25,
            features=("a", "b"),
        )
    ]
    assert [type(value) for value in seen[0].params.values()] == [str, int, float, bool, type(None)]


def test_an_export_says_how_the_file_is_called(owner: TestClient, platform: Platform, monkeypatch: Any) -> None:
    export = records.Export(iter([b"a\n", b"1\n"]), "cancer@2.csv", "text/csv", ())
    monkeypatch.setattr(platform.datasets, "export", lambda *_, **__: export)
    response = owner.get("/v1/datasets/cancer/export?format=csv")
    assert response.text == "a\n1\n"
    assert response.headers["content-type"].startswith("text/csv")
    assert "filename*=UTF-8''cancer%402.csv" in response.headers["content-disposition"]
    assert "x-lepton-masked" not in response.headers
    monkeypatch.setattr(platform.models, "export", lambda *_, **__: b"onnx")
    response = owner.get("/v1/models/cancer@1/export")
    assert response.content == b"onnx"
    assert response.headers["content-type"] == "application/octet-stream"


def test_a_new_user_comes_with_a_link_that_signs_it_in(owner: TestClient, anonymous: TestClient) -> None:
    made = owner.post("/v1/users", json={"name": "bo", "role": "editor"})
    assert made.status_code == 201
    code = made.json()["sign_in_url"].partition("?code=")[2]
    assert anonymous.post("/v1/sign-in", json={"code": code}).json()["user"]["name"] == "bo"
    changed = owner.patch("/v1/users/bo", json={"role": "viewer"}).json()
    assert (changed["name"], changed["role"]) == ("bo", "viewer")
    assert owner.delete("/v1/users/bo").status_code == 204
    assert [user["name"] for user in owner.get("/v1/users").json()["items"]] == ["owner"]


def test_a_token_shows_its_secret_once(owner: TestClient) -> None:
    body = {"name": "laptop", "scopes": ["runs.list"], "expires_in_s": 60}
    made = owner.post("/v1/tokens", json=body).json()
    assert made["secret"].startswith(made["prefix"])
    assert (made["scopes"], made["expires_at"]) == (["runs.list"], "2026-01-01T12:01:00Z")
    listed = owner.get("/v1/tokens")
    assert made["secret"] not in listed.text
    assert made["id"] in listed.text


def test_times_are_in_utc() -> None:
    assert TypeAdapter(datetime).dump_json(NOW) == f'"{TIME}"'.encode()
