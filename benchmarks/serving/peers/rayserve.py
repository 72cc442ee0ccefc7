"""Ray Serve on one node: controller, proxy and one replica, each a process."""

from __future__ import annotations

from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _environment(place: Place) -> dict[str, str]:
    haproxy = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(place.folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(place.folder / "s"),  # Ray adds 57 letters, and 97 are allowed
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(place.folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(place.folder / "haproxy-state"),
    }
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(place.folder), "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
    return onnx_environment(place) | quiet | haproxy


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return records.request(f"/{case.model}", "rows", inputs)


PEER = Peer(
    name="rayserve",
    packages=("ray[serve]==2.60.0", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0", "orjson==3.13.0"),
    formats=("json",),
    command=lambda place: [str(place.python), str(place.servers / "rayserve_server.py"), str(place.port)],
    environment=_environment,
    request=_request,
    read=records.read,
    quiet="enable_access_log=False",
    note="HAProxy in front (its fastest way), throughput-optimized, one replica a model, no dashboard",
    ready_s=120,
)
