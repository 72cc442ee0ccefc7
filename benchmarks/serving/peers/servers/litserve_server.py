"""The server of peers/litserve.py; it runs in that peer's environment."""

import sys

import litserve
import numpy as np
from onnx_model import Model


class Api(litserve.LitAPI):
    """One model, unbatched: LitServe collects batches by asking a queue of another process over and over."""

    def __init__(self, name):
        super().__init__(api_path=f"/predict/{name}")
        self.name = name

    def setup(self, device):
        self.model = Model(self.name)

    def decode_request(self, request):
        return np.asarray(request["rows"], self.model.dtype)

    def predict(self, rows):
        return self.model.run(rows)

    def encode_response(self, outputs):
        return {name: output.tolist() for name, output in outputs.items()}


if __name__ == "__main__":
    server = litserve.LitServer([Api("logistic"), Api("mlp")], accelerator="cpu", fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
        loop="uvloop",
        http="httptools",
    )
