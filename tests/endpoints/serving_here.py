"""A worker's servers inside the test: real models, encrypted as in the store, on real ports of HTTP and gRPC."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import uvloop

from lepton.core.columns import ColumnType
from lepton.endpoints.replica.app import App
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.grpc import GrpcServer, serve_grpc
from lepton.endpoints.replica.served import Served
from lepton.endpoints.replica.server import Server
from lepton.endpoints.replica.tokens import TokenList, Tokens, public_key, sign
from lepton.endpoints.replica.traffic import Traffic
from lepton.models.features import CategoryFeature, Column, Feature, Features, NumberFeature, WordsFeature
from lepton.models.graph import Linear, Logistic, model_graph
from lepton.models.prediction import Arrays, decode_rows, open_session, run_session
from lepton.models.signature import Signature, Task
from lepton.store.segments import SegmentWriter

SEED = b"s" * 32
PATIENCE_S = 20.0
T = TypeVar("T")


@dataclass
class Here:
    """Open ports, and the loop behind them.

    Attributes:
        address: Of HTTP, ``host:port``.
        grpc_address: Of gRPC.
    """

    address: str
    grpc_address: str
    loop: asyncio.AbstractEventLoop
    traffic: Sequence[Traffic]
    grpc: GrpcServer

    def run(self, made: Callable[[], Awaitable[T]]) -> T:
        """Await something in the loop."""

        async def awaited() -> T:
            return await made()

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(PATIENCE_S)


def graph_of(signature: Signature) -> bytes:
    """A real model for a signature, with weights of no meaning."""
    features = Features(tuple(_feature(column.name, column.type, column.values) for column in signature.inputs))
    weights = np.linspace(-1.0, 1.0, features.width)
    if signature.task is Task.REGRESSION:
        return model_graph(features, Linear(weights, 0.5))
    return model_graph(features, Logistic(weights[None, :], np.array([0.25]), signature.classes or ()))


def _feature(name: str, kind: ColumnType, values: tuple[str, ...] | None) -> Feature:
    column = Column(name, kind)
    if kind is not ColumnType.TEXT:
        return NumberFeature(column, median=1.0, mean=0.5, std=2.0)
    return WordsFeature(column, ("a", "b")) if values is None else CategoryFeature(column, (*values, ""))


def predicted(signature: Signature, rows: list[dict[str, Any]]) -> Arrays:
    """What the model of a signature answers, asked directly."""
    return run_session(open_session(graph_of(signature)), signature, decode_rows(signature, rows))


def deployment(folder: Path, signature: Signature, endpoint: str) -> Deployment:
    """Encrypt the model of a signature as the store does and say how it is deployed."""
    path = folder / f"{endpoint}.blob"
    with path.open("wb") as file:
        writer = SegmentWriter(file, b"k" * 32, endpoint)
        writer.write(graph_of(signature))
        writer.finish()
    return Deployment(
        endpoint=endpoint, project="default", model="buyers@3", generation=1, blob_path=str(path), blob_id=endpoint,
        key=(b"k" * 32).hex(), signature=signature.to_json().decode(), secret="of-the-platform",
        token_key=public_key(SEED).hex(),
    )  # fmt: skip


def tokens() -> Tokens:
    """The token ``good`` may predict, ``viewer`` may not."""
    made = Tokens(key=public_key(SEED), project="default", secret="of-the-platform")
    hashed = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("good", "viewer")}
    made.update(sign(SEED, TokenList("default", time.time(), {hashed["good"]: None}, {hashed["viewer"]: None})))
    return made


@contextmanager
def serving(folder: Path, **signatures: Signature) -> Iterator[Here]:
    """Serve a model for each signature under its name."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = socket.create_server(("127.0.0.1", 0))
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))

    async def start() -> tuple[Server, GrpcServer, list[Traffic]]:
        traffic = [Traffic([Served(deployment(folder, s, name))], tokens()) for name, s in signatures.items()]
        server = Server(App(traffic))
        server.start()
        await server.listen({0: listener})
        return server, await serve_grpc(traffic, host="127.0.0.1"), traffic

    server, grpc, traffic = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_S)
    here = Here(
        f"127.0.0.1:{listener.getsockname()[1]}", f"127.0.0.1:{grpc.port}", loop, traffic, grpc
    )  # fmt: skip
    try:
        yield here
        assert not errors, errors
    finally:
        here.run(lambda: grpc.drain(0.0))
        here.run(server.close)
        for each in traffic:
            each.close()
        listener.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
