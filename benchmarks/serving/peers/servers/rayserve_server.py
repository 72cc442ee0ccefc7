"""The server of peers/rayserve.py; it runs in that peer's environment."""

import signal
import sys

import numpy as np
import orjson
import ray
from onnx_model import Model
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1}, logging_config=QUIET)
class Served:
    """One model."""

    def __init__(self, name):
        self.model = Model(name)

    async def __call__(self, request: Request) -> Response:
        rows = np.asarray(orjson.loads(await request.body())["rows"], self.model.dtype)
        outputs = self.model.run(rows)
        return Response(orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=QUIET)
    for name in ("mlp", "logistic"):
        serve.run(Served.bind(name), name=name, route_prefix=f"/{name}", logging_config=QUIET)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    serve.shutdown()
    ray.shutdown()
