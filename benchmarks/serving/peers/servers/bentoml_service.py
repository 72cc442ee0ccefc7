"""The service of peers/bentoml.py; it runs in that peer's environment."""

import bentoml
import numpy as np
from onnx_model import Model


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"sample_rate": 0.0},
)
class Bench:
    """Both models."""

    def __init__(self) -> None:
        self.models = {name: Model(name) for name in ("logistic", "mlp")}

    @bentoml.api
    async def logistic(self, rows: np.ndarray) -> dict:
        return self._run("logistic", rows)

    @bentoml.api
    async def mlp(self, rows: np.ndarray) -> dict:
        return self._run("mlp", rows)

    def _run(self, name: str, rows: np.ndarray) -> dict:
        model = self.models[name]
        outputs = model.run(rows.astype(model.dtype, copy=False))
        return {key: output.tolist() for key, output in outputs.items()}
