"""Machines for Ray's autoscaler: its fake provider of many nodes, which are started as `ray_cluster` starts them.

Ray's own starts nodes that listen on all interfaces. It is imported by the autoscaler's process, on the head.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
)
from ray_cluster import end_all, launch
from ray_growing import FIRST

from lepton.testing.engines import eventually


class Nodes(FakeMultiNodeProvider):
    """Starts and ends nodes."""

    def _create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: dict[str, float], labels: Any
    ) -> None:
        del node_config, count, labels
        with self.lock:
            name = self._next_hex_node_id()
            cluster, number = Path(self.provider_config["folder"]), FIRST + self._next_node_id
            told = {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": name, "RAY_CLOUD_INSTANCE_ID": name}
            options = [f"--address={self._gcs_address}", f"--num-cpus={resources['CPU']:g}"]
            process = launch(cluster, number, options, told)
            made = {
                TAG_RAY_NODE_KIND: NODE_KIND_WORKER,
                TAG_RAY_NODE_NAME: name,
                TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
            }
            log = cluster / str(number) / "start.log"
            # One by one: two that start together in one folder take each other's sockets.
            eventually(lambda: b"--block" in log.read_bytes() or process.poll() is not None, "it has started")
            self._nodes[name] = {"tags": made | tags, "node": (process, cluster, number)}

    def _terminate_node(self, node: dict[str, Any]) -> None:
        process, cluster, number = node["node"]
        assert isinstance(process, subprocess.Popen)
        end_all(cluster, number)
        process.wait()
