"""An endpoint on the machines of a real Ray cluster of three nodes, behind a real HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from endpoints.replicas import Clients, Models, trained
from endpoints.test_balanced import all_serve, on_machines, spread, unexpected
from ray_cluster import RayCluster

from lepton.endpoints.replica.config import Workers
from lepton.testing.engines import eventually, is_running

pytest.importorskip("ray", reason="Ray is an extra, and not installed")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return trained(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=3) as cluster:
        yield cluster


def test_a_node_of_the_cluster_is_lost_and_no_request_with_it(
    models: Models, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(cluster.token_path))
    with spread(on_machines(models, 1, engine=cluster.address)) as replica:
        replica.control.scale(Workers(replicas=2))
        before = replica.until(all_serve(1, 2))
        assert len({one.machine for one in before.machines}) == 2
        node = next(one for one in cluster.nodes[1:] if one.address in {machine.machine for machine in before.machines})
        clients = Clients(replica)
        with clients.asking():
            clients.answered()
            cluster.kill_node(node)
            clients.answered(200)
            after = replica.until(lambda s: all_serve(1, 2)(s) and node.address not in {m.machine for m in s.machines})
            clients.answered()
        assert not unexpected(clients.failures)
        assert len({one.machine for one in after.machines}) == 2, "the third node took over"
        eventually(lambda: not cluster.processes(node), "nothing goes on where the node was")
        pids = [worker.pid for worker in after.workers]
    eventually(lambda: not any(map(is_running, pids)), "its end is the end of what it had on the cluster")


def test_a_cluster_without_room_says_so_and_what_there_is_answers(
    models: Models, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(cluster.token_path))
    room = 4 * len(cluster.nodes)
    with spread(on_machines(models, 1, engine=cluster.address)) as replica:
        replica.control.scale(Workers(replicas=room + 1))
        seen = replica.until(lambda s: [one.state for one in s.machines].count("ready") == room and s.message)
        assert "No machine has room" in seen.message
        assert [one.state for one in seen.machines].count("waiting") == 1
        assert replica.ask()[0] == "model@1"
