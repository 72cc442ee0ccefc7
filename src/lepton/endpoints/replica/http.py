"""What a replica says over HTTP: records JSON, Open Inference Protocol v2 JSON, health.

An ASGI application without a framework. Protocol: Open Inference Protocol v2, REST,
https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from lepton.core.errors import Internal, InvalidInput, LeptonError, NotFound, TooLarge
from lepton.core.ids import new_id
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.grants import Grants
from lepton.endpoints.replica.runtime import Runtime
from lepton.models.prediction import (
    decode_rows,
    decode_tensors,
    encode_predictions,
    encode_tensors,
    tensor_metadata,
)
from lepton.models.signature import Signature

MAX_BODY_BYTES = 8 << 20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = dict[str, object] | None


class Replica:
    """Answers for one endpoint."""

    def __init__(self, config: Deployment, control_url: str) -> None:
        self._endpoint = config.endpoint
        self._model = config.model
        self._signature = Signature.from_json(config.signature.encode())
        self._runtime = Runtime(config, self._signature)
        self._grants = Grants(
            control_url=control_url, project=config.project, endpoint=config.endpoint, secret=config.secret
        )
        v2 = f"/v2/models/{config.endpoint}"
        version = f"{v2}/versions/{config.model.rpartition('@')[2]}"
        self._open_routes: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", "/v2/health/live"): lambda: {"live": True},
            ("GET", "/v2/health/ready"): lambda: {"ready": True},
        }
        self._routes: dict[tuple[str, str], Callable[[bytes], Answer]] = {
            ("POST", f"/predict/{config.endpoint}"): self._predict,
            ("GET", "/v2"): lambda _: {"name": "lepton", "version": "2", "extensions": []},
        }
        for base in (v2, version):
            self._routes["GET", base] = lambda _: self._metadata()
            self._routes["GET", f"{base}/ready"] = lambda _: {"name": self._endpoint, "ready": True}
            self._routes["POST", f"{base}/infer"] = self._infer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; every error leaves in the one JSON shape."""
        request_id = new_id()
        try:
            status, body = 200, await self._answer(scope, receive)
        except LeptonError as error:
            status, body = error.status, _error(error, request_id)
        except Exception as error:  # noqa: BLE001 - an edge; the text of a foreign error may quote the request
            status, body = 500, _error(Internal(f"Internal error ({type(error).__name__})."), request_id)
        headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message, receive: Receive) -> bytes:
        key = (scope["method"], scope["path"])
        if key in self._open_routes:
            return orjson.dumps(self._open_routes[key]())
        headers = dict(scope["headers"])
        await self._grants.check(headers.get(b"authorization", b"").decode("latin-1"))
        route = self._routes.get(key)
        if route is None:
            raise NotFound(
                f"This replica answers for endpoint {self._endpoint!r} only: POST /predict/{self._endpoint} "
                f"or POST /v2/models/{self._endpoint}/infer."
            )
        body = await _body(headers, receive)
        return orjson.dumps(route(body))

    def _predict(self, body: bytes) -> Answer:
        request = _json(body)
        rows = request.get("rows") if isinstance(request, dict) else request
        outputs = self._runtime.predict(decode_rows(self._signature, rows))
        predictions = encode_predictions(self._signature, outputs)
        return {"endpoint": self._endpoint, "model": self._model, "predictions": predictions}

    def _infer(self, body: bytes) -> Answer:
        request = _json(body)
        if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
            raise InvalidInput('The body must be an object with a list "inputs" of {name, shape, datatype, data}.')
        outputs = self._runtime.predict(decode_tensors(self._signature, request["inputs"]))
        answer: dict[str, object] = {
            "model_name": self._endpoint,
            "model_version": self._model.rpartition("@")[2],
            "outputs": encode_tensors(self._signature, outputs),
        }
        if isinstance(request.get("id"), str):
            answer["id"] = request["id"]
        return answer

    def _metadata(self) -> Answer:
        inputs, outputs = tensor_metadata(self._signature)
        return {
            "name": self._endpoint,
            "versions": [self._model.rpartition("@")[2]],
            "platform": "onnx_onnxv1",
            "inputs": inputs,
            "outputs": outputs,
        }


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput(
            "The body is not valid JSON in UTF-8 (NaN and Infinity are not JSON; send null for a missing value)."
        ) from None


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("The connection closed before the body was complete.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large() -> TooLarge:
    return TooLarge(f"The body is over the limit of {MAX_BODY_BYTES >> 20} MiB. Send fewer rows in one request.")


def _error(error: LeptonError, request_id: str) -> bytes:
    return orjson.dumps({"error": {"code": error.code, "message": error.message, "request_id": request_id}})
