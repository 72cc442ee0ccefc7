"""A graph that was made elsewhere behind an endpoint, by every road that a model of our own has."""

from __future__ import annotations

import json

import httpx2
import numpy as np
import onnxruntime
from models.test_adopted import graph
from models.workshop import EDITOR, OWNER, Workshop
from tritonclient.http import InferenceServerClient, InferInput

from lepton.core.refs import Ref
from lepton.endpoints.operations import Endpoints
from lepton.models import bundle
from lepton.testing.engines import eventually


def test_it_is_served_like_a_model_of_ours(workshop: Workshop, endpoints: Endpoints) -> None:
    model = graph().SerializeToString()
    made = workshop.models.register(OWNER, [bundle.pack({bundle.GRAPH: model})], name="digits")
    assert (made.ref, made.recipe) == ("digits@1", "onnx")
    endpoints.deploy(EDITOR, "digits", Ref("digits", 1))
    endpoints.tick()
    endpoint = endpoints.get(EDITOR, "digits").endpoint
    assert endpoint.url is not None
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    right = onnxruntime.InferenceSession(model).run(None, {"input": rows})[0]

    records = [dict(zip(("x1", "x2", "x3", "x4"), map(float, row), strict=True)) for row in rows]
    answer = json.loads(endpoints.predict(EDITOR, "digits", json.dumps(records).encode()))["predictions"]
    assert [one["label"] for one in answer] == right.argmax(axis=1).tolist()

    host = endpoint.url.removeprefix("http://").split("/")[0]
    token = {"Authorization": "Bearer good"}
    eventually(lambda: httpx2.get(f"http://{host}/v2/models/digits", headers=token).status_code == 200, "it is known")
    tensor = InferInput("numbers", [3, 4], "FP32")
    tensor.set_data_from_numpy(rows)
    client = InferenceServerClient(host)
    found = client.infer("digits", [tensor], headers={**token})  # it adds to what it is given
    client.close()
    np.testing.assert_allclose(found.as_numpy("probabilities"), right, atol=1e-6)

    missing = json.dumps([records[0] | {"x1": None}]).encode()
    refused = httpx2.post(endpoint.url, content=missing, headers=token)
    assert refused.status_code == 400
    assert "'x1'" in refused.json()["error"]["message"]
