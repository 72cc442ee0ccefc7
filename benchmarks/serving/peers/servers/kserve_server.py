"""The server of peers/kserve.py; it runs in that peer's environment."""

import argparse

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import generate_uuid
from onnx_model import Model as Onnx

TYPES = {"float64": "FP64", "float32": "FP32", "int64": "INT64"}


class OnnxModel(Model):
    """One model under its own name."""

    def __init__(self, name):
        super().__init__(name)
        self.model = Onnx(name)
        self.ready = True

    def load(self):
        return True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        outputs = []
        for name, array in self.model.run(payload.inputs[0].as_numpy()).items():
            output = InferOutput(name=name, shape=list(array.shape), datatype=TYPES[str(array.dtype)])
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or generate_uuid(),
            model_name=self.name,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.parse_known_args()
    ModelServer().start([OnnxModel("logistic"), OnnxModel("mlp")])
