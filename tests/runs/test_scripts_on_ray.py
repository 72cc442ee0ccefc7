"""A user's own code on a real Ray cluster: the same code, the same sentences, no way to the keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster

import lepton
from lepton.core.errors import RunFailed

pytest.importorskip("ray", reason="Ray is an extra, and not installed")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    with RayCluster(nodes=2) as cluster, pytest.MonkeyPatch.context() as patch:
        for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT"):
            patch.delenv(name, raising=False)
        patch.setenv("LEPTON_ENGINE", cluster.address)
        patch.setenv("RAY_AUTH_TOKEN", cluster.token)
        with lepton.open(tmp_path_factory.mktemp("on-ray") / "home") as opened:
            yield opened


def test_a_command_runs_on_a_machine_of_the_cluster_as_it_does_here(client: lepton.Client, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import os, sys, lepton\n"
        "print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], os.environ.get('KEY'))\n"
        "print(len(lepton.connect().runs.list()) > 0, [n for n in os.environ if n.startswith('RAY')])\n"
        "open(os.environ['LEPTON_OUTPUTS'] + '/model', 'w').write('weights')\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    run = client.runs.submit(["python", "main.py", "0"], folder=tmp_path, workers=2, secrets={"KEY": "hunter2hunter2"})
    told = sorted(line.text for line in client.runs.logs(run.id, follow=True) if line.text[0] != "[")
    assert told == ["True []", "True []", "rank 0 of 2 ***", "rank 1 of 2 ***"]
    assert client.runs.wait(run.id).state == "succeeded"
    assert client.runs.get_artifact(run.id, "model") == b"weights"
    # It was there, and not here.
    kept = [path.name for path in client._platform.settings.home.rglob(f"{run.id}/*")]  # type: ignore[attr-defined]
    assert "exit.json" in kept
    assert "supervisor.json" not in kept
    failed = client.runs.submit(["python", "main.py", "5"], folder=tmp_path)
    with pytest.raises(RunFailed, match="The worker ended with exit code 5"):
        client.runs.wait(failed.id)
