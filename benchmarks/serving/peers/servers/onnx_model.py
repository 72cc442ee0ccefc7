"""The two models in a peer's own environment: onnxruntime with one thread, the same for all of them."""

import os

import numpy as np
import onnxruntime


class Model:
    """An open graph; `run` takes [rows, features] and returns arrays by name."""

    def __init__(self, name):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.environ[f"BENCH_{name.upper()}"]
        self.dtype = np.float64 if name == "logistic" else np.float32
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, rows):
        return dict(zip(self.names, self.session.run(None, {"input": rows}), strict=True))
