"""How the workers of one run add up arrays and pass messages: one worker, or several over TCP.

Sums are float64, added in the order of ranks on worker 0 and sent back, so every worker holds the same bits.
The wire itself (handshake, encryption, deadlines) is in ``channel.py``.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lepton.core.errors import Internal, InvalidInput, Unavailable
from lepton.training.channel import Channel, Op, accept_worker, reach_leader

CONNECT_TIMEOUT_S = 60.0
TIMEOUT_S = 3600.0
"""How long a call waits for a worker that is alive but busy; a dead one is noticed long before."""
_RETRY_S = 0.05
_MIN_SECRET_BYTES = 16


class Collective(Protocol):
    """The workers of a run, numbered from 0; all of them must make the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this worker; 0 leads."""

    @property
    def world_size(self) -> int:
        """Number of workers."""

    def all_reduce(self, array: ArrayLike) -> NDArray[np.float64]:
        """Sum one array of equal shape from every worker; every worker gets the same bits."""

    def broadcast(self, data: bytes | None) -> bytes:
        """Send ``data`` of worker 0 to all; what the others pass is ignored."""

    def gather(self, data: bytes) -> list[bytes] | None:
        """Collect ``data`` of every worker, in the order of ranks, on worker 0; the others get None."""

    def barrier(self) -> None:
        """Wait until every worker is here."""


class LocalCollective:
    """One worker that has nobody to talk to."""

    rank = 0
    world_size = 1

    def all_reduce(self, array: ArrayLike) -> NDArray[np.float64]:
        """Return a float64 copy of the array."""
        return np.array(array, dtype=np.float64)

    def broadcast(self, data: bytes | None) -> bytes:
        """Return ``data``."""
        return data or b""

    def gather(self, data: bytes) -> list[bytes] | None:
        """Return ``data`` as the only item."""
        return [data]

    def barrier(self) -> None:
        """Return at once."""


class TcpCollective:
    """Workers joined in a star over TCP with worker 0 in the middle; made by ``lead`` and ``follow``."""

    def __init__(self, rank: int, world_size: int, channels: Sequence[Channel]) -> None:
        self.rank = rank
        self.world_size = world_size
        self._channels = list(channels)  # worker 0: to ranks 1, 2, …; the others: to worker 0

    @classmethod
    def lead(
        cls,
        listener: socket.socket,
        *,
        world_size: int,
        secret: bytes,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Become worker 0: wait on a listening socket until all others have proved that they know the secret.

        Args:
            listener: listening socket; closed at the end.
            world_size: number of workers, this one included.
            secret: at least 16 random bytes, the same on all workers of the run and on nobody else.
            connect_timeout_s: how long to wait for the others.
            timeout_s: how long any later call may wait for a worker.

        Raises:
            Unavailable: not all workers connected in time.
            InvalidInput: two workers have one rank, or they disagree on the number of workers.
        """
        _check_secret(secret)
        deadline = time.monotonic() + connect_timeout_s
        joined: dict[int, Channel] = {}
        try:
            with listener:
                while len(joined) < world_size - 1:
                    channel = accept_worker(listener, world_size, secret, deadline, timeout_s)
                    if channel is None:
                        continue
                    if channel.peer in joined:
                        channel.close()
                        raise InvalidInput(f"Two workers of this run have rank {channel.peer}; give each its own RANK.")
                    joined[channel.peer] = channel
        except TimeoutError:
            _close_all(joined.values())
            raise Unavailable(
                f"{len(joined) + 1} of {world_size} workers were there after {connect_timeout_s:g} seconds; "
                "look at the logs of the missing ones."
            ) from None
        except BaseException:
            _close_all(joined.values())
            raise
        return cls(0, world_size, [joined[rank] for rank in range(1, world_size)])

    @classmethod
    def follow(
        cls,
        address: tuple[str, int],
        *,
        rank: int,
        world_size: int,
        secret: bytes,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        timeout_s: float = TIMEOUT_S,
    ) -> Self:
        """Become worker ``rank`` (1 or more): connect to worker 0, trying again until the deadline.

        Raises:
            Unauthenticated: worker 0 does not know the secret.
            Unavailable: worker 0 did not let this worker in in time.
        """
        _check_secret(secret)
        if not 0 < rank < world_size:
            raise InvalidInput(f"Rank {rank} is not possible; with {world_size} workers it is 1 to {world_size - 1}.")
        deadline = time.monotonic() + connect_timeout_s
        while time.monotonic() < deadline:
            channel = reach_leader(address, rank, world_size, secret, deadline)
            if channel is not None:
                channel.timeout_s = timeout_s
                return cls(rank, world_size, [channel])
            time.sleep(_RETRY_S)
        raise Unavailable(
            f"Worker 0 did not let worker {rank} in within {connect_timeout_s:g} seconds; look at the log of worker 0."
        )

    def all_reduce(self, array: ArrayLike) -> NDArray[np.float64]:
        """Sum one array of equal shape from every worker, in the order of ranks; every worker gets the same bits."""
        total = np.array(array, dtype=np.float64)
        if self.rank:
            self._channels[0].send(Op.ALL_REDUCE, _pack(total))
            return _unpack(self._channels[0].receive(Op.ALL_REDUCE))
        for channel in self._channels:
            part = _unpack(self._receive(channel, Op.ALL_REDUCE))
            if part.shape != total.shape:
                raise self._abort(
                    Internal(f"Worker {channel.peer} sent shape {part.shape} to a sum, worker 0 has {total.shape}.")
                )
            total += part
        self._send_all(Op.ALL_REDUCE, _pack(total))
        return total

    def broadcast(self, data: bytes | None) -> bytes:
        """Send ``data`` of worker 0 to all; what the others pass is ignored."""
        if self.rank:
            return self._channels[0].receive(Op.BROADCAST)
        self._send_all(Op.BROADCAST, data or b"")
        return data or b""

    def gather(self, data: bytes) -> list[bytes] | None:
        """Collect ``data`` of every worker, in the order of ranks, on worker 0; the others get None."""
        if self.rank:
            self._channels[0].send(Op.GATHER, data)
            return None
        return [data, *(self._receive(channel, Op.GATHER) for channel in self._channels)]

    def barrier(self) -> None:
        """Wait until every worker is here."""
        self.all_reduce(np.zeros(0))

    def close(self) -> None:
        """Leave; the others get an error if they still wait for this worker."""
        _close_all(self._channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, channel: Channel, op: Op) -> bytes:
        try:
            return channel.receive(op)
        except (Unavailable, Internal) as error:
            raise self._abort(error) from None

    def _send_all(self, op: Op, payload: bytes) -> None:
        for channel in self._channels:
            try:
                channel.send(op, payload)
            except Unavailable as error:
                raise self._abort(error) from None

    def _abort(self, error: Unavailable | Internal) -> Unavailable | Internal:
        """Tell the workers that are left why worker 0 gives up, so that every log names the one that was lost."""
        for channel in self._channels:
            with suppress(Unavailable):
                channel.send(Op.ABORT, error.message.encode())
        self.close()
        return error


def open_collective(environment: Mapping[str, str], secret: bytes) -> LocalCollective | TcpCollective:
    """Join the workers that torchrun-style variables describe.

    Reads ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT``; on rank 0 ``LEPTON_MASTER_FD``, if set, is an
    inherited socket that listens already, so that no port has to be guessed.
    """
    try:
        rank, world_size = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
        if world_size == 1:
            return LocalCollective()
        if rank == 0 and "LEPTON_MASTER_FD" in environment:
            listener = socket.socket(fileno=int(environment["LEPTON_MASTER_FD"]))
            return TcpCollective.lead(listener, world_size=world_size, secret=secret)
        address = (environment.get("MASTER_ADDR", "127.0.0.1"), int(environment["MASTER_PORT"]))
    except (KeyError, ValueError):
        raise InvalidInput(
            "The workers' environment is incomplete: set RANK, WORLD_SIZE and MASTER_PORT to whole numbers."
        ) from None
    if rank == 0:
        return TcpCollective.lead(socket.create_server(address), world_size=world_size, secret=secret)
    return TcpCollective.follow(address, rank=rank, world_size=world_size, secret=secret)


def _pack(array: NDArray[np.float64]) -> bytes:
    shape = struct.pack(f"!B{array.ndim}Q", array.ndim, *array.shape)
    return shape + array.astype("<f8", copy=False).tobytes()


def _unpack(payload: bytes) -> NDArray[np.float64]:
    (dimensions,) = struct.unpack_from("!B", payload)
    shape = struct.unpack_from(f"!{dimensions}Q", payload, 1)
    return np.frombuffer(payload, dtype="<f8", offset=1 + 8 * dimensions).reshape(shape).astype(np.float64)


def _check_secret(secret: bytes) -> None:
    if len(secret) < _MIN_SECRET_BYTES:
        raise InvalidInput(f"The secret of a run has {len(secret)} bytes; at least {_MIN_SECRET_BYTES} are needed.")


def _close_all(channels: Iterable[Channel]) -> None:
    for channel in channels:
        channel.close()
