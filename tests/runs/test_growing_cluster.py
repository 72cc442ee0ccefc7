"""A Ray cluster with an autoscaler: machines come for runs that wait, and go; who loses one is tried again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ray_cluster import address_of, end_all
from ray_growing import FIRST, GrowingCluster
from runs import killed
from runs.test_kill_anything import begun
from runs.test_lost_machines import WHERE, opened, places, program

from lepton.testing.engines import eventually

pytest.importorskip("ray", reason="Ray is an extra, and not installed")
STEPS, EVERY = 100, 10


def test_machines_come_for_runs_that_wait_and_go_and_a_run_whose_machine_is_taken_ends_with_its_result(
    tmp_path: Path,
) -> None:
    folder = program(tmp_path / "folder", WHERE + killed.worker(steps=STEPS, every=EVERY, pause_s=0.1))
    with GrowingCluster(most=3, cpus=2) as cluster, opened(tmp_path / "home", cluster) as client:

        def machines() -> int:
            return len(client.runs.queue().machines) - 1  # beside the platform's own

        assert machines() == 0
        command = ["python", "train.py"]
        runs = [client.runs.submit(command, folder=folder, workers=2, retries=3) for _ in range(2)]
        assert client.runs.get(runs[0].id).state == "queued"
        eventually(lambda: all(begun(client, run.id) for run in runs), "both have a machine", within_s=120)
        assert machines() >= 2
        assert {*places(client, runs[0].id)}.isdisjoint(places(client, runs[1].id))
        # That of the one which began last, and so has most before it.
        last = max(runs, key=lambda run: max(line.time for line in client.runs.logs(run.id).lines))
        number = next(n for n in range(FIRST, FIRST + 10) if address_of(n) in places(client, last.id))
        end_all(cluster.folder, number)
        for run in runs:
            eventually(lambda run=run: client.runs.get(run.id).ended, "it has ended", within_s=120)
            assert client.runs.get(run.id).state == "succeeded"
            assert json.loads(client.runs.get_artifact(run.id, "result.json")) == killed.result(steps=STEPS)
            assert len(begun(client, run.id)) == (2 if run is last else 1)
        eventually(lambda: machines() == 0, "machines that nobody needs go", within_s=60)
