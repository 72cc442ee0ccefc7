"""A script written for torchrun runs here as it is, with PyTorch's own collectives, and learns the same to the bit."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lepton

TRAIN = """
import os

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

torch.manual_seed(7)
torch.set_num_threads(1)
distributed.init_process_group("gloo")
rank, world = distributed.get_rank(), distributed.get_world_size()

x = torch.randn(256, 8)
y = (x @ torch.arange(8.0) > 0).float()
sampler = DistributedSampler(TensorDataset(x, y), shuffle=True, seed=3)
loader = DataLoader(TensorDataset(x, y), batch_size=16, sampler=sampler)
model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

for epoch in range(5):
    sampler.set_epoch(epoch)
    for inputs, labels in loader:
        loss = nn.functional.binary_cross_entropy_with_logits(model(inputs).squeeze(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = ((model(x).squeeze(1) > 0) == (y > 0)).float().mean()
    distributed.all_reduce(right)
    print(f"epoch {epoch}: worker {rank} of {world} has {right.item() / world:.3f} right", flush=True)

if rank == 0:
    torch.save(model.module.state_dict(), os.environ.get("OUT", "weights.pt"))
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # threads of PyTorch's own abort now and then while Python ends, under torchrun too
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("training")
    (made / "train.py").write_text(textwrap.dedent(TRAIN))
    return made


@pytest.fixture(scope="module")
def by_torchrun(folder: Path) -> bytes:
    """The weights that torchrun itself makes of it, with two workers."""
    out = folder / "by_torchrun.pt"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py"]
    subprocess.run(command, cwd=folder, env=os.environ | {"OUT": str(out), "OMP_NUM_THREADS": "1"}, check=True)
    return out.read_bytes()


def test_a_script_for_torchrun_learns_here_what_it_learns_there(
    folder: Path, by_torchrun: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    (folder / ".leptonignore").write_text("by_torchrun.pt\n")
    with lepton.open(tmp_path / "home") as client:
        run = client.runs.submit(["python", "train.py"], folder=folder, workers=2, outputs=["weights.pt"])
        assert client.runs.wait(run.id).state == "succeeded"
        weights = client.runs.get_artifact(run.id, "weights.pt")
        last = [line.text for line in client.runs.logs(run.id, follow=True) if line.text.startswith("epoch 4")]
    assert states(weights, tmp_path / "ours.pt") == states(by_torchrun, tmp_path / "theirs.pt")
    assert len(last) == 2
    assert all(float(text.split()[-2]) > 0.9 for text in last), last


def states(weights: bytes, path: Path) -> dict[str, list[float]]:
    """The weights by their names; the files themselves differ in the names that their archives have."""
    import torch

    path.write_bytes(weights)
    return {name: tensor.flatten().tolist() for name, tensor in torch.load(path, weights_only=True).items()}
