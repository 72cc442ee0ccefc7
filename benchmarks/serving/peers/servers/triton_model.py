"""The model of peers/triton.py, run by Triton's Python back end: one run of the graph for a whole dynamic batch."""

import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """What the back end calls."""

    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "input").as_numpy() for request in requests]
        batch = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        outputs = self.session.run(None, {"input": batch})
        responses, at = [], 0
        for rows in map(len, inputs):
            parts = (output[at : at + rows] for output in outputs)
            tensors = [pb_utils.Tensor(name, part) for name, part in zip(self.names, parts, strict=True)]
            responses.append(pb_utils.InferenceResponse(tensors))
            at += rows
        return responses
