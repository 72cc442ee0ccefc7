"""Runs whose workers are on several machines of a real Ray cluster: they begin together, end together, and nothing stays.

Each machine has two processors, so a run of four workers needs two.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ray_cluster import RayCluster
from runs import killed
from runs.test_kill_anything import begun, processes_of
from runs.test_lost_machines import WHERE, opened, program, texts

import lepton
from lepton.core.ids import new_id
from lepton.runs.engines.port import EnginePhase, EngineSpec
from lepton.runs.engines.ray import RayEngine
from lepton.runs.records import Part
from lepton.testing.engines import LOG_KEY, eventually, python

pytest.importorskip("ray", reason="Ray is an extra, and not installed")

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
# A sum over all workers, over PyTorch's own collectives, as a script for torchrun has it.
REDUCE = f"""
import os, torch
from torch import distributed
torch.set_num_threads(1)
print("told", *[os.environ[name] for name in {TORCHRUN!r}], flush=True)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
values = torch.randn(5_000, generator=torch.Generator().manual_seed(rank))
for _ in range(3):
    distributed.all_reduce(values)
    values = values / values.norm() + rank
if rank == 0:
    open(os.environ["LEPTON_OUTPUTS"] + "/values", "wb").write(values.numpy().tobytes())
distributed.barrier()
print("done", flush=True)
os._exit(0)  # threads of PyTorch's own abort now and then while Python ends, under torchrun too
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=4, cpus=2, head_cpus=0) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: RayCluster, tmp_path: Path) -> Iterator[lepton.Client]:
    with opened(tmp_path / "home", cluster) as client:
        yield client


def test_a_run_on_two_machines_gives_the_bytes_that_it_gives_on_one(client: lepton.Client, tmp_path: Path) -> None:
    folder, found = program(tmp_path / "folder", REDUCE), []
    with opened(tmp_path / "here") as here:
        for where in (client, here):
            run = where.runs.submit(["python", "train.py"], folder=folder, workers=4, cpus=1)
            assert where.runs.wait(run.id).state == "succeeded"
            found.append((where.runs.get_artifact(run.id, "values"), texts(where, run.id)))
    (there, told_there), (bytes_here, told_here) = found
    assert there == bytes_here
    assert sorted(told_here) == sorted(["done"] * 4 + [f"told {rank} 4 {rank} 4 127.0.0.1 1" for rank in range(4)])
    master = next(line.split()[5] for line in told_there if line.startswith("told 0"))
    assert master in {"127.0.0.2", "127.0.0.3", "127.0.0.4"}, "that of the machine on which rank 0 is"
    assert sorted(told_there) == sorted(["done"] * 4 + [f"told {rank} 4 {rank % 2} 2 {master} 1" for rank in range(4)])
