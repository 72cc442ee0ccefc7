"""What a worker says to clients: the deployments it was given, over the HTTP server, on sockets that come and go."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lepton.core.errors import InvalidInput, LeptonError, Unauthenticated, error_from_code
from lepton.endpoints.replica.app import App
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.link import Load, Start
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.rates import gate_of
from lepton.endpoints.replica.reports import encode
from lepton.endpoints.replica.served import Served
from lepton.endpoints.replica.server import Server
from lepton.endpoints.replica.tokens import Tokens
from lepton.endpoints.replica.tracing import tracing_of
from lepton.endpoints.replica.traffic import Traffic

if TYPE_CHECKING:
    from lepton.endpoints.replica.grpc import GrpcServer

log = logging.getLogger("lepton.replica")


class Serving:
    """Answers for the deployments of one worker. Made inside the loop that serves.

    Raises:
        LeptonError: if a model cannot be loaded.
    """

    def __init__(self, start: Start) -> None:
        by_name: dict[str, list[Deployment]] = {}
        for deployment in start.deployments:
            by_name.setdefault(deployment.endpoint, []).append(deployment)
        self._endpoints = [_loaded(name, by_name) for name in by_name]
        self._tracing = tracing_of()
        self._server = Server(App(self._endpoints, self._tracing))
        self._server.start()
        self._tls = _context(start.tls) if start.tls else None
        self._grpc: GrpcServer | None = None
        self._cpu_to_start_s = time.process_time()  # loading is no load: it must not call for more workers

    async def open_grpc(self, start: Start) -> None:
        """Answer over gRPC as well, on a port that all workers share, if that is wanted.

        Raises:
            Unavailable: if grpcio is not installed, or the port cannot be opened.
        """
        if not start.grpc_port:
            return
        from lepton.endpoints.replica.grpc import serve_grpc

        certificate, key = (Path(name).read_bytes() for name in start.tls) if start.tls else (b"", b"")
        credentials = (key, certificate) if start.tls else None
        self._grpc = await serve_grpc(
            self._endpoints, host=start.host, port=start.grpc_port, credentials=credentials, tracing=self._tracing
        )

    def listen(self, sockets: Mapping[int, socket.socket]) -> None:
        """Accept connections on exactly these sockets from now on."""
        self._server.listen(sockets, ssl=self._tls)

    def share(self, share: float) -> None:
        """Hold this part of every endpoint's limits from now on."""
        for traffic in self._endpoints:
            if traffic.gate is not None:
                traffic.gate.share(share)

    def tokens(self, document: str) -> None:
        """Take a new signed list of tokens; one that is not for these endpoints changes nothing."""
        for traffic in self._endpoints:
            try:
                traffic.tokens.update(document)
            except Unauthenticated as error:
                log.error("a list of tokens was refused: %s", error.message)

    def load(self) -> Load:
        """Return the counts since the start."""
        total = Counts()
        for traffic in self._endpoints:
            for served in traffic.deployments:
                if not served.is_shadow:
                    total.add(served.counts)
        return Load(
            in_flight=self._server.counts.in_flight,
            queued=sum(served.batcher.queued for traffic in self._endpoints for served in traffic.deployments),
            requests=total.answers,
            errors=total.errors,
            cpu_s=time.process_time() - self._cpu_to_start_s,
            latency=tuple(total.latencies),
        )

    def count(self) -> None:
        """Count the rows that were answered lately, for drift."""
        for traffic in self._endpoints:
            for served in traffic.deployments:
                if served.live is not None:
                    served.live.count()

    def told(self) -> str:
        """Return what the control plane wants to know of each deployment."""
        return encode([report for traffic in self._endpoints for report in traffic.reports()])

    async def drain(self, grace_s: float, linger_s: float) -> None:
        """Answer what is asked with ``Connection: close``; return when nobody is connected, or the grace is over."""
        ends = [self._server.begin_drain(linger_s=linger_s, grace_s=grace_s)]
        if self._grpc is not None:
            ends.append(self._grpc.drain(grace_s))
        await asyncio.gather(*ends)
        if self._tracing is not None:
            self._tracing.close()
        for traffic in self._endpoints:
            traffic.close()


def _context(files: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(*files)
    except OSError:  # of which ssl.SSLError is one
        raise InvalidInput(
            "The certificate and its key cannot be read, or do not belong together. See LEPTON_TLS_CERTIFICATE and "
            "LEPTON_TLS_KEY."
        ) from None
    return context


def _loaded(name: str, by_name: Mapping[str, Sequence[Deployment]]) -> Traffic:
    try:
        return _traffic(by_name[name])
    except LeptonError as error:
        if len(by_name) == 1:
            raise
        # Who deployed another endpoint of this replica is told the sentence too.
        raise error_from_code(error.code, f"Endpoint {name!r}, in the same replica: {error.message}") from error


def _traffic(deployments: Sequence[Deployment]) -> Traffic:
    first = deployments[0]
    tokens = Tokens(key=bytes.fromhex(first.token_key), project=first.project, secret=first.secret)
    return Traffic([Served(deployment) for deployment in deployments], tokens, gate=gate_of(first.limits))
