"""A Ray cluster that begins with a head alone, and to which Ray's autoscaler adds machines as they are needed."""

from __future__ import annotations

import json

from ray_cluster import RayCluster

IDLE_S = 5.0
"""How long a machine has nothing to do before it is removed."""

FIRST = 100
"""Below the number of the first node that is added."""


class GrowingCluster(RayCluster):
    """A head that runs nothing, and up to so many machines.

    Args:
        most: Machines beside the head.
        cpus: How many processors each of them says it has.
    """

    def __init__(self, *, most: int = 3, cpus: int = 2) -> None:
        super().__init__(nodes=1, head_cpus=0)
        config = {
            "cluster_name": "growing",
            "max_workers": most,
            "idle_timeout_minutes": IDLE_S / 60,
            "upscaling_speed": 1.0,
            "provider": {
                "type": "external",
                "module": "ray_provider.Nodes",
                "folder": str(self.folder),
                "gcs_address": self.gcs,
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                "machine": {"resources": {"CPU": cpus}, "node_config": {}, "min_workers": 0, "max_workers": most},
            },
            "head_node_type": "ray.head.default",
            "auth": {},
            "file_mounts": {},
            "cluster_synced_files": [],
            "initialization_commands": [],
            "setup_commands": [],
            "head_setup_commands": [],
            "worker_setup_commands": [],
            "head_start_ray_commands": [],
            "worker_start_ray_commands": [],
        }
        path = self.folder / "autoscaler.json"  # JSON is YAML
        path.write_text(json.dumps(config))
        self._options = [f"--autoscaling-config={path}"]
        self._more = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
