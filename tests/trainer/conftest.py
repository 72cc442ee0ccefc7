"""A platform in this process with two small datasets, for trainings that run as commands."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from platforms import embedded
from sklearn.datasets import load_breast_cancer, load_diabetes

import lepton


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    with embedded(tmp_path_factory.mktemp("trainer") / "home") as opened:
        cancer = load_breast_cancer(as_frame=True)
        table: pd.DataFrame = cancer.frame.iloc[:, [0, 1, 2, 3, 20, 21, 22, 23, 30]].copy()
        table["target"] = table["target"].map({0: "malignant", 1: "benign"})
        table["ward"] = ["north" if size > 15 else "south" for size in table["mean radius"]]
        opened.datasets.import_(table, name="cancer")
        opened.datasets.import_(load_diabetes(as_frame=True).frame, name="diabetes")
        yield opened
