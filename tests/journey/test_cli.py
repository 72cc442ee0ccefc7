"""From a CSV to a prediction by typing."""

from __future__ import annotations

import json
from pathlib import Path

from journey.journeys import Live


def test_from_csv_to_prediction(live: Live, customers: Path) -> None:
    assert "cli@1" in live.cli("datasets", "import", str(customers), "--name", "cli").stdout
    assert "bought" in live.cli("datasets", "profile", "cli").stdout
    cleaned = live.cli("datasets", "clean", "cli", "--target", "bought").stdout
    assert "cli@2" in cleaned
    assert "12 rows dropped that repeated an earlier one" in cleaned
    trained = live.cli("models", "train", "cli", "--dataset", "cli@2", "--target", "bought", "--workers", "2").stdout
    assert "cli@1" in trained
    assert "roc_auc" in trained
    live.cli("models", "evaluate", "cli@1", "--dataset", "cli@2")
    live.cli("endpoints", "deploy", "cli", "--model", "cli@1")
    told = live.cli("endpoints", "predict", "cli", "age=70", "income=88000", "sex=f", "city=Bern").stdout
    assert "yes" in told
    answer = json.loads(
        live.cli("endpoints", "predict", "cli", "age=70", "income=88000", "sex=f", "city=Bern", "--json").stdout
    )
    assert answer["predictions"][0]["label"] == "yes"
    runs = json.loads(live.cli("runs", "list", "--json").stdout)["items"]
    assert {"datasets.import", "datasets.clean", "models.train", "models.evaluate"} <= {run["task"] for run in runs}
    live.cli("endpoints", "deploy", "second", "--model", "cli@1", "--shares", "cli")
    assert "It shares the replica of cli" in live.cli("endpoints", "get", "second").stdout
    live.cli("endpoints", "delete", "second", "--yes")
    live.cli("endpoints", "delete", "cli", "--yes")


def test_a_refusal_is_one_sentence_on_stderr_and_exit_code_1(live: Live) -> None:
    done = live.cli("datasets", "get", "no-such-thing", code=1)
    assert done.stdout == ""
    assert "no-such-thing" in done.stderr
    assert "Traceback" not in done.stderr
    for typed, told in (
        (("runs", "list", "--state", "sleeping"), "'succeeded'"),
        (("users", "create", "ada", "--role", "king"), "'steward'"),
        (("users", "update", "owner"), "Say what to change of the user"),
        (("audit", "list", "--action", "reigns"), "'runs.cancel'"),
        (("tokens", "create", "crown", "--scope", "reigns"), "'endpoints.predict'"),
    ):
        sentence = live.cli(*typed, code=1).stderr
        assert told in sentence
        assert not any(word in sentence for word in ("in the query", "in the body", "/v1/", "GET "))


def test_a_wrong_command_is_exit_code_2(live: Live) -> None:
    live.cli("datasets", "imprt", code=2)
