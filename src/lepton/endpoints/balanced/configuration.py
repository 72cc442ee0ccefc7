"""The text that HAProxy is started with. Pure; names and options are of HAProxy 2.4 and later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NO_REPLICA = (
    '{"error":{"code":"unavailable","message":"No replica of this endpoint answers now. Try again in a moment."}}'
)
NO_ANSWER = (
    '{"error":{"code":"unavailable","message":"The replica that was asked ended before it answered. Ask again."}}'
)
"""HAProxy asks another by itself, but for a connection that was reset: it cannot know how much was answered."""
LONGEST_S = 600
"""How long an answer may take to go on: tokens of a language model may have pauses."""
RETRIES = 3


@dataclass(frozen=True)
class Server:
    """One replica that answers.

    Attributes:
        name: Of its place.
        address: ``host:port`` of HTTP.
        grpc_address: Of gRPC; empty if it is not spoken.
        trusted: File of its certificate: no other is taken for it.
    """

    name: str
    address: str
    grpc_address: str
    trusted: Path


@dataclass(frozen=True)
class Front:
    """Where the endpoint is asked.

    Attributes:
        listener: Descriptor of the listening socket of HTTP, which is never closed, so nobody is refused meanwhile.
        grpc_listener: Of gRPC; None if it is not spoken.
        certificate: File of the certificate chain and its key; None for plain text.
    """

    listener: int
    grpc_listener: int | None = None
    certificate: Path | None = None


def configuration(front: Front, servers: Sequence[Server], *, checked: bool, threads: int) -> str:
    """Return the whole configuration.

    A prediction changes nothing, so one that a replica did not answer is asked again of another.

    Args:
        front: Where the endpoint is asked.
        servers: Who answers.
        checked: Whether replicas are asked every second how they are; a question would wake those that sleep.
        threads: Of the balancer.
    """
    secured = f" ssl crt {front.certificate}" if front.certificate else ""
    lines = [
        "global",
        f"  nbthread {threads}",
        "  tune.bufsize 65536",  # a request is tried again only if it fits
        "  ssl-default-bind-options ssl-min-ver TLSv1.2",
        f"  hard-stop-after {LONGEST_S}s",
        "defaults",
        "  mode http",
        "  timeout connect 1s",
        f"  timeout client {LONGEST_S}s",
        f"  timeout server {LONGEST_S}s",
        "  timeout http-request 30s",
        "  timeout queue 5s",
        # A reload lets connections on which nothing is asked go with their next answer, never before.
        "  option idle-close-on-response",
        "  option http-keep-alive",
        f"  retries {RETRIES}",
        "  option redispatch 1",
        "  retry-on conn-failure empty-response response-timeout junk-response",
        f"  http-error status 502 content-type application/json string '{NO_ANSWER}' hdr Retry-After 1",
        f"  http-error status 503 content-type application/json string '{NO_REPLICA}' hdr Retry-After 1",
        *_road("http", f"fd@{front.listener}{secured}", [_server(s, s.address, checked) for s in servers]),
    ]
    if front.grpc_listener is not None:
        bound = f"fd@{front.grpc_listener}{secured} {'alpn h2' if secured else 'proto h2'}"
        lines += _road("grpc", bound, [_server(s, s.grpc_address, checked=False) + " alpn h2" for s in servers])
    return "\n".join(lines) + "\n"


def _road(name: str, bound: str, servers: Sequence[str]) -> list[str]:
    check = ["  option httpchk", "  http-check send meth GET uri /v2/health/live"] if name == "http" else []
    return [
        f"frontend {name}",
        f"  bind {bound}",
        f"  default_backend {name}_replicas",
        f"backend {name}_replicas",
        "  balance leastconn",
        *check,
        *servers,
    ]


def _server(server: Server, address: str, checked: bool) -> str:
    check = " check inter 1s fall 2 rise 1 observe layer4 error-limit 2 on-error mark-down" if checked else ""
    return f"  server {server.name} {address} ssl verify required ca-file {server.trusted} pool-max-conn 64{check}"
