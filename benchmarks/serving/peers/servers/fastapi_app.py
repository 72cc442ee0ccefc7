"""The application of peers/fastapi.py; it runs in that peer's environment."""

import numpy as np
import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from onnx_model import Model

MODELS = {name: Model(name) for name in ("logistic", "mlp")}
app = FastAPI()


@app.post("/predict/{name}")
async def predict(name: str, request: Request) -> Response:
    model = MODELS[name]
    try:
        rows = np.asarray(orjson.loads(await request.body())["rows"], model.dtype)
        outputs = model.run(rows)  # a small model: a thread pool would cost more than it gives
    except (orjson.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise HTTPException(422, "The body must be {rows: [[number, ...], ...]}.") from error
    return Response(orjson.dumps(outputs, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
