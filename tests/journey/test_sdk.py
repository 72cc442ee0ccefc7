"""From a CSV to a prediction through the Python client."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from journey.journeys import CUSTOMER, Live

import lepton
from lepton.core.errors import InvalidInput, NotFound, RunFailed, Unauthenticated

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_from_csv_to_prediction(live: Live, customers: Path) -> None:
    with live.client() as client:
        raw = client.datasets.import_(customers, name="sdk")
        assert (raw.ref, raw.rows) == ("sdk@1", 612)
        clean = client.datasets.clean(raw.ref, target="bought")
        assert (clean.ref, clean.rows, clean.parent) == ("sdk@2", 600, "sdk@1")
        labels = next(column for column in client.datasets.profile(clean.ref).columns if column.name == "bought")
        assert labels.distinct == 2

        model = client.models.train("sdk", dataset=clean.ref, target="bought", workers=2)
        assert model.task == "classification"
        assert model.metrics["roc_auc"] > 0.9  # the labels follow age and income with little noise

        client.endpoints.deploy("sdk", model=model.ref)
        answers = client.endpoints.predict("sdk", [CUSTOMER, CUSTOMER | {"age": 20, "income": 12000, "city": None}])
        assert [answer.label for answer in answers] == ["yes", "no"]
        assert sum(answers[0].probabilities.values()) == pytest.approx(1.0, abs=1e-9)  # they are a distribution

        kinds = {node.kind for node in client.models.lineage(model.ref).nodes}
        assert {"dataset", "run", "model"} <= kinds
        with lepton.connect(client.url, "lpt_wrong") as stranger, pytest.raises(Unauthenticated):
            stranger.endpoints.predict("sdk", CUSTOMER)
        client.endpoints.delete("sdk")
        with pytest.raises(NotFound, match="no endpoint 'sdk'"):
            client.endpoints.get("sdk")


def test_two_workers_train_the_model_that_one_does(live: Live, customers: Path) -> None:
    with live.client() as client:
        data = client.datasets.clean(client.datasets.import_(customers, name="workers").ref, target="bought")
        one, two = (
            client.models.train(f"by-{n}", dataset=data.ref, target="bought", workers=n).plot("coefficients")
            for n in (1, 2)
        )
        coefficients = [dict(zip(plot.data["names"], plot.data["values"], strict=True)) for plot in (one, two)]
        # The sums are added up in another order, and the solver stops within 1e-8 of the optimum.
        assert coefficients[0] == pytest.approx(coefficients[1], abs=1e-6)


def test_wrong_input_gets_one_sentence_and_leaves_nothing(live: Live, customers: Path, tmp_path: Path) -> None:
    with live.client() as client:
        data = client.datasets.import_(customers, name="wrong")
        with pytest.raises((InvalidInput, RunFailed, NotFound), match="'boughtt'.*bought"):
            client.models.train("wrong", dataset=data.ref, target="boughtt")
        with pytest.raises(NotFound, match="no version 9"):
            client.models.train("wrong", dataset="wrong@9", target="bought")
        empty = tmp_path / "empty.csv"
        empty.write_bytes(b"")
        with pytest.raises((InvalidInput, RunFailed), match="empty"):
            client.datasets.import_(empty, name="nothing")
        assert "nothing" not in [dataset.name for dataset in client.datasets.list()]
        assert "wrong" not in [model.name for model in client.models.list()]


def test_the_eight_lines_of_the_readme_run(tmp_path: Path) -> None:
    draw = random.Random(5)
    lines = ["age,income,sex,bought"]
    for _ in range(200):
        age, income = draw.randint(18, 80), draw.randint(12, 90) * 1000
        lines.append(f"{age},{income},{draw.choice('fm')},{'yes' if income / 1000 + age > 95 else 'no'}")
    (tmp_path / "customers.csv").write_text("\n".join(lines))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEPTON_")}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "eight_lines.py")],
        cwd=tmp_path,
        env=environment | {"LEPTON_HOME": str(tmp_path / "lepton")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "roc_auc" in done.stdout
    assert "probabilities" in done.stdout


def test_lineage_names_the_file_it_began_with(live: Live, customers: Path) -> None:
    with live.client() as client:
        data = client.datasets.import_(customers, name="traced")
        model = client.models.train("traced", dataset=data.ref, target="bought")
        assert "customers.csv" in [node.label for node in client.models.lineage(model.ref).nodes]
