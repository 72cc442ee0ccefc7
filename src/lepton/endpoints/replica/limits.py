"""How much a client may ask of a replica's wire, and for how long. Pure numbers; `wire` and `serving` keep to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one server. Times are looked at in each sweep, so they are exact to `sweep_s`.

    Attributes:
        head_bytes: Request line and headers together.
        headers: Header lines of one request.
        target_bytes: Path and query together.
        body_bytes: A body, both as it was sent and as it is when it has been inflated.
        inflate_ratio: A compressed body may grow by this factor at most; 64 KiB are always allowed.
        held_bytes: Bodies of all connections together that are being read or wait for their answers, but for those of a
            few KiB; above it they are told 503.
        connections: Open at once; the next one is told 503.
        pipelined: Unanswered requests of one connection above which it is no longer read.
        drained_bytes: A refused request's body is read to its end up to this size, else the connection is closed.
        head_s: From the first byte of a head to its last; also how long a new connection may stay silent.
        body_s: How long a body may take regardless of its rate.
        body_bytes_per_s: The least average rate of a body after `body_s`.
        idle_s: A kept-alive connection without a request.
        stall_s: A reader that takes no byte of its answers.
        linger_s: After our last byte, until the client has closed as well.
        unsent_bytes: Bytes of answers waiting in memory for a slow reader above which it is no longer read.
        sweep_s: Pause between two looks at all connections.
        drain_s: How long `Server.begin_drain` waits for what is in flight.
        retry_after_s: What a client is told with 503.
    """

    head_bytes: int = 32 << 10
    headers: int = 100
    target_bytes: int = 8 << 10
    body_bytes: int = 8 << 20
    inflate_ratio: int = 200
    held_bytes: int = 256 << 20
    connections: int = 4096
    pipelined: int = 16
    drained_bytes: int = 64 << 10
    head_s: float = 10.0
    body_s: float = 10.0
    body_bytes_per_s: float = 4096.0
    idle_s: float = 75.0
    stall_s: float = 20.0
    linger_s: float = 2.0
    unsent_bytes: int = 256 << 10
    sweep_s: float = 1.0
    drain_s: float = 10.0
    retry_after_s: int = 1
