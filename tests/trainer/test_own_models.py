"""A network of one's own: its file and those beside it go along; killed in between, it ends with the same weights."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

import lepton
from lepton.core.errors import RunFailed
from lepton.testing.engines import eventually

NET = """
    import torch
    from sizes import HIDDEN


    class Net(torch.nn.Module):
        def __init__(self, problem):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(problem.width, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, problem.outputs)
            )

        def forward(self, features):
            return self.layers(features)
"""
ASKED = {"dataset": "cancer", "target": "target", "recipe": "pytorch", "model": "net.py:Net"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(textwrap.dedent(NET))
    (tmp_path / "sizes.py").write_text("HIDDEN = 8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trainers_of(run_id: str) -> list[int]:
    """The processes that train, by id."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            variables = (path / "environ").read_bytes()
        except OSError:
            continue
        if b"lepton.trainer" in words and f"LEPTON_RUN_ID={run_id}".encode() in variables:
            found.append(int(path.name))
    return found


@pytest.mark.usefixtures("folder")
def test_a_network_of_ones_own_is_trained_with_the_files_beside_it(client: lepton.Client) -> None:
    made = client.models.train("own", params={"epochs": 15, "learning_rate": 0.01}, **ASKED)
    assert made.recipe == "pytorch"
    assert made.metrics["accuracy"] > 0.85  # 114 rows; the most frequent class alone has 0.63
    assert client.runs.get(made.run_id).params["model"] == "net.py:Net"


def test_a_file_that_cannot_be_imported_is_named_with_the_reason(client: lepton.Client, folder: Path) -> None:
    (folder / "net.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(RunFailed, match="'net.py:Net' could not be imported: ModuleNotFoundError"):
        client.models.train("own", **ASKED)


@pytest.mark.usefixtures("folder")
def test_a_training_whose_worker_is_killed_goes_on_and_leaves_the_same_weights(
    client: lepton.Client, tmp_path: Path
) -> None:
    params = {"epochs": 60, "batch_size": 16, "patience": 0, "checkpoint_every": 20}
    whole = client.models.train("killed", params=params, workers=2, **ASKED)
    run = client.models.train("killed", params=params, workers=2, wait=False, **ASKED)
    eventually(lambda: len(client.runs.metrics(run.id).values("loss")) > 5, "it learns", within_s=120)
    os.kill(trainers_of(run.id)[-1], signal.SIGKILL)
    client.runs.wait(run.id)
    log = "\n".join(line.text for line in client.runs.logs(run.id).lines)
    assert "Going on after step" in log
    graphs = []
    for ref in (whole.ref, client.runs.get(run.id).made("model")[0]):
        client.models.export(ref, tmp_path / "graph.onnx")
        graphs.append((tmp_path / "graph.onnx").read_bytes())
    assert graphs[0] == graphs[1]
