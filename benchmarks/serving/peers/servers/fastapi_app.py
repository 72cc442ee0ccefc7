"""The application of peers/fastapi.py; it runs in that peer's environment."""

import os

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, HTTPException, Request, Response


def open_model(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = os.environ[f"BENCH_{name.upper()}"]
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


MODELS = {"logistic": (open_model("logistic"), np.float64), "mlp": (open_model("mlp"), np.float32)}
NAMES = {name: [output.name for output in session.get_outputs()] for name, (session, _) in MODELS.items()}
app = FastAPI()


@app.post("/predict/{model}")
async def predict(model: str, request: Request) -> Response:
    session, dtype = MODELS[model]
    try:
        rows = np.asarray(orjson.loads(await request.body())["rows"], dtype)
        # A small model: a thread pool would cost more than it gives.
        outputs = session.run(None, {"input": rows})
    except (orjson.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise HTTPException(422, "The body must be {rows: [[number, ...], ...]}.") from error
    answer = orjson.dumps(dict(zip(NAMES[model], outputs, strict=True)), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(answer, media_type="application/json")
