"""The program as it is typed: help, exit codes, one sentence for each failure, against a fake over real HTTP."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from client.fakes import RUN, FakePlatform, Prepared, error, fake_platform, stream
from client.test_verbs import DONE, ENDPOINT, VERSION

from lepton.cli.program import run

PROFILE = {
    "ref": "houses@1",
    "rows": 200,
    "duplicate_rows": 3,
    "columns": [
        {
            "name": "area", "type": "number", "class": "plain", "masked": False, "nulls": 10, "distinct": 150,
            "mean": 101.5, "std": 3.0, "min": 20.0, "max": 400.0, "quantiles": {"0.5": 99.0},
            "histogram": {"edges": [0, 1, 2, 3], "counts": [1, 4, 8]}, "top_values": None,
            "warnings": ["3 values are far from all others"],
        },
        {
            "name": "owner", "type": "text", "class": "personal", "masked": True, "nulls": None, "distinct": None,
            "mean": None, "std": None, "min": None, "max": None, "quantiles": None, "histogram": None,
            "top_values": None, "warnings": [],
        },
        {
            "name": "city", "type": "text", "class": "plain", "masked": False, "nulls": 0, "distinct": 2,
            "mean": None, "std": None, "min": None, "max": None, "quantiles": None, "histogram": None,
            "top_values": [{"value": "[red]Paris[/red]", "count": 150}, {"value": "Bern", "count": 50}], "warnings": [],
        },
    ],
    "suggested_recipe": {"steps": [{"step": "drop_duplicates", "columns": None}]},
}  # fmt: skip


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlatform]:
    with fake_platform() as platform:
        monkeypatch.setenv("LEPTON_URL", platform.url)
        monkeypatch.setenv("LEPTON_TOKEN", "lpt_secret")
        monkeypatch.setenv("COLUMNS", "160")
        yield platform


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    script = (
        "import sys; from lepton.cli.program import run; code = run(['--help']);"
        "heavy = {'httpx2', 'polars', 'numpy', 'sqlalchemy', 'fastapi', 'sklearn', 'onnxruntime', 'yaml'};"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    "group", ["datasets", "labels", "runs", "models", "endpoints", "projects", "users", "tokens", "audit"]
)
def test_every_verb_shows_examples(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.main import get_command

    from lepton.cli import app

    for name in get_command(app).commands[group].commands:
        assert run([group, name, "--help"]) == 0
        assert f"lepton {group} {name}" in capsys.readouterr().out.partition("For example")[2]


@pytest.mark.parametrize(
    "typed", [["dtasets"], ["datasets", "imprt"], ["datasets", "get"], ["runs", "list", "--limit", "x"], ["up", "--x"]]
)
def test_wrong_usage_is_exit_code_2_and_one_sentence(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "--help" in told.err


def test_a_refusal_is_exit_code_1_and_the_platforms_sentence(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on("GET", "/v1/datasets/no", Prepared(error("not_found", "There is no dataset 'no'."), 404))
    assert run(["datasets", "get", "no"]) == 1
    assert capsys.readouterr() == ("", "There is no dataset 'no'.\n")


def test_a_mistake_of_ours_is_one_sentence_too(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a cell of somebody's data")

    monkeypatch.setattr("lepton.client.datasets.Datasets.list", broken)
    assert run(["datasets", "list"]) == 1
    told = capsys.readouterr().err
    assert "RuntimeError" in told
    assert "Traceback" not in told
    assert "cell" not in told


def test_json_prints_the_rest_body_as_it_came(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps(PROFILE, indent=3).encode()
    fake.on("GET", "/v1/datasets/houses/profile", Prepared(body))
    assert run(["datasets", "profile", "houses", "--json", "--project", "p"]) == 0
    assert capsys.readouterr().out == body.decode() + "\n"
    assert fake.seen[0].query["project"] == ["p"]


def test_a_profile_is_drawn(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("GET", "/v1/datasets/houses/profile", PROFILE)
    assert run(["datasets", "profile", "houses"]) == 0
    told = capsys.readouterr().out
    for shown in ("5.0%", "▂▅█", "20 … 99 … 400", "hidden", "[red]Paris[/red] 75.0%", "3 duplicate rows",
                  "far from all others", "1. drop_duplicates"):  # fmt: skip
        assert shown in told


def test_a_slow_verb_waits_and_shows_what_it_made(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    report = {
        "made_by": "clean",
        "recipe": {"steps": []},
        "steps": [
            {"step": "drop_duplicates", "summary": "12 duplicate rows dropped", "rows_before": 20, "rows_after": 8,
             "cells_changed": 0, "columns": []},
        ],
        "rejected": [],
        "rejected_total": 0,
        "detected": None,
    }  # fmt: skip
    fake.on("POST", "/v1/datasets/houses/clean", Prepared(RUN, 202))
    fake.on("GET", "/v1/runs/01RUN", stream(RUN, DONE))
    fake.on("GET", "/v1/datasets/houses@1", VERSION)
    fake.on("GET", "/v1/datasets/houses@1/report", report)
    assert run(["datasets", "clean", "houses", "--target", "price"]) == 0
    told = capsys.readouterr()
    assert "12 duplicate rows dropped" in told.out
    assert "Made houses@1: 2 rows." in told.out
    assert "datasets.clean: filling in" in told.err
    assert json.loads(fake.seen[0].body) == {"recipe": None, "target": "price"}


def test_a_slow_verb_prints_the_ended_run_as_json(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("POST", "/v1/datasets/houses/clean", Prepared(RUN, 202))
    fake.on("GET", "/v1/runs/01RUN", stream(RUN, DONE))
    assert run(["datasets", "clean", "houses", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == DONE
    assert told.err == ""


def test_a_predicted_dataset_is_shown_by_its_address(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("POST", "/v1/models/m@1/predict", Prepared(RUN, 202))
    fake.on("GET", "/v1/runs/01RUN", stream(RUN, DONE))
    fake.on("GET", "/v1/datasets/houses@1", VERSION)
    step = {"step": "predict", "summary": "2 columns added by a model", "rows_before": 2, "rows_after": 2,
            "cells_changed": 0, "columns": []}  # fmt: skip
    report = {
        "made_by": "predict",
        "recipe": None,
        "steps": [step],
        "rejected": [],
        "rejected_total": 0,
        "detected": None,
    }
    fake.on("GET", "/v1/datasets/houses@1/report", report)
    assert run(["models", "predict", "m@1", "--dataset", "d@3", "--name", "houses"]) == 0
    assert "Made houses@1: 2 rows, 1 column." in capsys.readouterr().out
    assert json.loads(fake.seen[0].body) == {"dataset": "d@3", "name": "houses"}
    assert run(["models", "predict", "m@1", "--dataset", "d@3", "--detach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RUN


def test_a_detached_verb_returns_at_once(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("POST", "/v1/models/m/evaluate", Prepared(RUN, 202))
    assert run(["models", "evaluate", "m", "--dataset", "d", "--detach"]) == 0
    assert "lepton runs logs --follow 01RUN" in capsys.readouterr().out
    assert len(fake.seen) == 1


def test_code_is_sent_with_its_signature(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text("class Model: pass")
    (tmp_path / "says.json").write_text("{}")
    made = {
        "ref": "rules@1", "name": "rules", "version": 1, "task": "regression", "recipe": "python", "target": "price",
        "dataset": "", "run_id": "", "created_at": "2026-01-01T12:00:00Z", "created_by": "owner", "size_bytes": 9,
        "sha256": "ab", "metrics": {},
    }  # fmt: skip
    signature = {"task": "regression", "target": "price", "inputs": [{"name": "area", "type": "number"}]}
    fake.on("POST", "/v1/models/register", Prepared(made, 201))
    fake.on("GET", "/v1/models/rules@1", Prepared(made | {"signature": signature}))
    code, declared = str(tmp_path / "model.py"), str(tmp_path / "says.json")
    assert run(["models", "register", "rules", "--code", code, "--signature", declared]) == 0
    assert "rules@1 predicts price (regression, python), registered by owner" in capsys.readouterr().out
    assert fake.seen[0].query["name"] == ["rules"]
    with zipfile.ZipFile(io.BytesIO(fake.seen[0].body)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "model.py": b"class Model: pass", "signature.json": b"{}",
        }  # fmt: skip
    assert run(["models", "register", "rules", "--code", "nowhere.py", "--signature", declared]) == 1
    assert "no file or folder" in capsys.readouterr().err


def test_a_run_that_fails_is_exit_code_1_and_its_sentence(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on("POST", "/v1/models/train", Prepared(RUN, 202))
    failed = RUN | {"state": "failed", "error": {"code": "invalid_input", "message": "Column 'x' is constant."}}
    fake.on("GET", "/v1/runs/01RUN", stream(failed))
    assert run(["models", "train", "m", "--dataset", "d", "--target", "x"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == "Column 'x' is constant."


def test_an_interrupted_wait_leaves_the_run_alone_where_nobody_can_be_asked(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("lepton.client.runs.Runs.wait", interrupted)
    fake.on("POST", "/v1/runs/01OLD/retry", Prepared(RUN, 202))
    assert run(["runs", "retry", "01OLD"]) == 1
    assert "goes on by itself" in capsys.readouterr().err
    assert [seen.path for seen in fake.seen] == ["/v1/runs/01OLD/retry"]


@pytest.mark.parametrize(
    "typed", [["datasets", "delete", "houses"], ["models", "delete", "m@1"], ["users", "delete", "u"]]
)
def test_deleting_needs_a_yes(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(typed) == 1
    assert "--yes" in capsys.readouterr().err
    assert fake.seen == []
    fake.on("DELETE", f"/v1/{typed[0]}/{typed[2]}", Prepared(status=204))
    assert run([*typed, "--yes"]) == 0
    assert len(fake.seen) == 1


def test_predict_asks_for_the_types_and_shows_the_chances(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = {
        "task": "classification",
        "target": "sold",
        "inputs": [{"name": "zip", "type": "text", "nullable": True}],
    }
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT | {"signature": signature})
    chances = {"no": 0.25, "yes": 0.75}
    answer = {"endpoint": "houses", "model": "m@1", "predictions": [{"label": "yes", "probabilities": chances}]}
    fake.on("POST", "/v1/endpoints/houses/predict", answer)
    assert run(["endpoints", "predict", "houses", "zip=01234"]) == 0
    assert json.loads(fake.seen[-1].body) == [{"zip": "01234"}]
    told = capsys.readouterr().out
    assert "yes" in told
    assert "0.750" in told


def test_deploy_sends_a_canary_and_limits_and_get_shows_who_gets_how_much(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.on("POST", "/v1/endpoints/deploy", Prepared(ENDPOINT, 202))
    typed = "endpoints deploy houses --model houses@2 --canary 10 --max-rate 5 --max-concurrency 0 --detach"
    assert run(typed.split()) == 0
    limits = {"max_rate": 5, "max_token_rate": None, "max_concurrency": 0}
    sent = {"name": "houses", "model": "houses@2", "canary": 10, "limits": limits}
    assert json.loads(fake.seen[-1].body) == sent
    main = {
        "model": "houses@1", "role": "main", "percent": 90, "requests": 1234, "errors": 0, "limited": 7, "p50_ms": 0.3,
        "p99_ms": 1.5, "comparison": None,
    }  # fmt: skip
    compared = {
        "rows": 80, "same_percent": 97.5, "mean_difference": 0.06, "largest_difference": 0.5, "failed": 1, "skipped": 2,
    }  # fmt: skip
    shadow = main | {"model": "houses@3", "role": "shadow", "percent": 0, "p99_ms": None, "comparison": compared}
    told = {"went_back": "Canary houses@2 went back, as it failed.", "limits": limits, "rollout": [main, shadow]}
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT | told)
    assert run(["endpoints", "get", "houses"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "Canary houses@2 went back, as it failed.",
        "main houses@1 90 % 1234 0 7 0.3 ms 1.5 ms",
        "houses@3 would have answered 97.5 % of 80 rows the same",
        "1 requests failed, 2 were skipped",
        "Limits: 5 requests a second",
    ):
        assert part in shown


def test_rollback_shows_what_answers_now(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("POST", "/v1/endpoints/houses/rollback", Prepared(ENDPOINT, 202))
    fake.on("GET", "/v1/endpoints/houses", ENDPOINT | {"state": "ready"})
    assert run(["endpoints", "rollback", "houses"]) == 0
    assert "houses answers with houses@1" in capsys.readouterr().out


def test_predict_works_for_somebody_who_may_do_nothing_else(fake: FakePlatform) -> None:
    fake.on("GET", "/v1/endpoints/houses", Prepared(error("forbidden", "No."), 403))
    fake.on("POST", "/v1/endpoints/houses/predict", {"endpoint": "h", "model": "m@1", "predictions": [{"value": 1.0}]})
    assert run(["endpoints", "predict", "houses", "area=1"]) == 0


def test_a_new_tokens_secret_alone_goes_to_standard_output(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "lpt_" + "a" * 300
    fake.on("POST", "/v1/tokens", Prepared({"id": "01T", "name": "shop", "secret": secret}, 201))
    assert run(["tokens", "create", "shop", "--scope", "endpoints.predict", "--expires-in", "1h"]) == 0
    assert capsys.readouterr().out == secret + "\n"
    assert json.loads(fake.seen[0].body) == {"name": "shop", "scopes": ["endpoints.predict"], "expires_in_s": 3600}


def test_the_lineage_is_a_tree_that_leads_back(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [("file:1", "file", "a.csv"), ("run:1", "run", "datasets.import"), ("dataset:a@1", "dataset", "a@1"),
             ("run:2", "run", "models.train"), ("model:m@1", "model", "m@1")]  # fmt: skip
    edges = [{"from": a[0], "to": b[0]} for a, b in pairwise(nodes)]
    body = {"nodes": [{"id": i, "kind": k, "label": n, "detail": ""} for i, k, n in nodes], "edges": edges}
    fake.on("GET", "/v1/models/m/lineage", body)
    assert run(["models", "lineage", "m"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[-1] for line in told.splitlines()] == [
        "m@1",
        "models.train",
        "a@1",
        "datasets.import",
        "a.csv",
    ]


def test_a_scorecard_is_a_table_and_a_file_that_a_spreadsheet_opens(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = [
        {"column": "age", "condition": "per unit", "points": 1.5},
        {"column": "=x", "condition": "is a", "points": -2},
    ]
    fake.on(
        "GET", "/v1/models/m/scorecard",
        {"good": "yes", "base": 600, "odds": 50, "pdo": 20, "start": 480.25, "lines": lines},
    )  # fmt: skip
    path = tmp_path / "card.csv"
    assert run(["models", "scorecard", "m", "--pdo", "20", "--good", "yes", "--to", str(path)]) == 0
    asked = fake.seen[0].query
    assert [asked[key] for key in ("base", "odds", "pdo", "good")] == [["600.0"], ["50.0"], ["20.0"], ["yes"]]
    told = capsys.readouterr().out
    assert "600 points are odds of 50 to 1 for yes; 20 more double them." in told
    assert "480.2" in told
    assert path.read_text().splitlines() == [
        "column,condition,points", ",start,480.25", "age,per unit,1.5", "'=x,is a,-2",
    ]  # fmt: skip


@pytest.mark.parametrize("typed", [["--help"], ["datasets", "--help"], ["version"], ["version", "--json"]])
def test_a_reader_that_has_seen_enough_is_no_failure(typed: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lepton.cli", *typed]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("typed", [["version"], ["version", "--json"], ["--help"]])
def test_output_that_cannot_be_written_gets_a_sentence(typed: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "lepton.cli", *typed]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("The output could not be written.")
    assert done.stderr.count("\n") == 1


def test_a_hint_stands_in_a_sentence_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["datasets", "rows", "houses", "--limit", "1001"]) == 2
    assert "less than or equal to 1000. See: lepton datasets rows --help" in capsys.readouterr().err


def test_a_password_is_not_asked_for_where_there_is_no_terminal(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nsecret\n"))
    assert run(["users", "create", "ada", "--role", "viewer", "--password"]) == 1
    assert "A password is typed at a terminal" in capsys.readouterr().err
    assert fake.seen == []


METRICS = {
    "name": "houses",
    "deployments": [
        {
            "model": "houses@2", "requests": {"200": 1200, "503": 3}, "rows": 4800, "mean_batch_rows": 4.0, "queued": 2,
            "requests_per_s": 40.0, "errors_per_s": 0.1, "p50_s": 0.0007, "p99_s": 0.003,
            "comparison": {
                "rows": 10, "same": 9, "difference_sum": 0.5, "difference_most": 0.2, "failed": 0, "skipped": 1,
            },
            "history": [
                {"at_s": 2.0 * n, "requests_per_s": float(n), "errors_per_s": 0.0, "p50_s": None, "p99_s": 0.003}
                for n in range(5)
            ],
        }
    ],
}  # fmt: skip


def test_metrics_are_numbers_and_small_pictures(fake: FakePlatform, capsys: pytest.CaptureFixture[str]) -> None:
    fake.on("GET", "/v1/endpoints/houses/metrics", METRICS)
    assert run(["endpoints", "metrics", "houses"]) == 0
    said = capsys.readouterr().out
    for part in ("houses@2", "40/s", "700 µs", "3 ms", "█", "1,200 with 200, 3 with 503", "90.0% of 10 rows the same"):
        assert part in said


def test_followed_metrics_are_shown_until_the_endpoint_is_gone(
    fake: FakePlatform, capsys: pytest.CaptureFixture[str]
) -> None:
    events = f"event: metrics\ndata: {json.dumps(METRICS)}\n\n" * 2 + "event: end\ndata: \n\n"
    fake.on(
        "GET", "/v1/endpoints/houses/metrics", Prepared(events.encode(), headers={"Content-Type": "text/event-stream"})
    )
    assert run(["endpoints", "metrics", "houses", "--follow", "--json"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["houses"] * 2
