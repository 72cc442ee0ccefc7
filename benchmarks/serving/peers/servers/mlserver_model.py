"""The runtime of peers/mlserver.py; it runs in that peer's environment."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_model import Model


class OnnxRuntime(MLModel):
    """One model under its own name."""

    async def load(self) -> bool:
        self.model = Model(self.name)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        outputs = [NumpyCodec.encode_output(name, output) for name, output in self.model.run(rows).items()]
        return InferenceResponse(model_name=self.name, outputs=outputs)
