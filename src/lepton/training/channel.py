"""One authenticated, encrypted connection between two workers of a run.

The shared secret proves both ends to each other (HMAC-SHA256 over a transcript with a nonce of each side) and yields
a key per direction; every frame is AES-256-GCM with its number as the nonce, so nothing can be read, changed,
replayed or reordered on the way. What the workers say to each other is in ``collective.py``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import time
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lepton.core.errors import Internal, InvalidInput, TooLarge, Unauthenticated, Unavailable

MAX_FRAME_BYTES = 1 << 30
_MAGIC = b"lepton-collective/1\n"
_HELLO = struct.Struct(f"!{len(_MAGIC)}sII32s")  # magic, rank, world size, nonce
_HEADER = struct.Struct("!BQ")  # what it is, bytes of the sealed payload
_TAG_BYTES = 16
_PROOF_BYTES = 32
_HANDSHAKE_TIMEOUT_S = 5.0


class Op(IntEnum):
    """What a frame belongs to; both ends must be in the same call."""

    WELCOME = 1
    ALL_REDUCE = 2
    BROADCAST = 3
    GATHER = 4
    ABORT = 9


class HangupError(Exception):
    """The other end closed the connection; the caller knows who that was."""


@dataclass
class Channel:
    """A connection to the worker of rank ``peer``; counts frames, so it must have one user at a time."""

    sock: socket.socket
    peer: int
    send_key: bytes
    receive_key: bytes
    timeout_s: float
    _sent: int = field(default=0, init=False)
    _received: int = field(default=0, init=False)

    def send(self, op: Op, payload: bytes) -> None:
        """Send one frame within the timeout."""
        if len(payload) > MAX_FRAME_BYTES:
            raise TooLarge(
                f"A message between workers has {len(payload)} bytes; at most {MAX_FRAME_BYTES} are allowed."
            )
        header = _HEADER.pack(op, len(payload) + _TAG_BYTES)
        sealed = AESGCM(self.send_key).encrypt(self._sent.to_bytes(12), payload, header)
        self._sent += 1
        self.sock.settimeout(self.timeout_s)
        try:
            self.sock.sendall(header + sealed)
        except OSError as error:
            raise _lost(self.peer, error, self.timeout_s) from None

    def receive(self, expected: Op) -> bytes:
        """Wait for the next frame, within the timeout, and open it.

        Raises:
            Unavailable: the peer went away, gave up or did not answer in time.
            Internal: the peer is in another call, or the frame was changed on the way.
        """
        deadline = time.monotonic() + self.timeout_s
        try:
            header = _read_exactly(self.sock, _HEADER.size, deadline)
            op, size = _HEADER.unpack(header)
            if not _TAG_BYTES <= size <= MAX_FRAME_BYTES + _TAG_BYTES:
                raise Internal(f"Worker {self.peer} announced a message of {size} bytes, which is not possible.")
            sealed = _read_exactly(self.sock, size, deadline)
        except (OSError, HangupError) as error:
            raise _lost(self.peer, error, self.timeout_s) from None
        try:
            payload = AESGCM(self.receive_key).decrypt(self._received.to_bytes(12), sealed, header)
        except InvalidTag:
            raise Internal(f"A message from worker {self.peer} was changed on its way.") from None
        self._received += 1
        if op == Op.ABORT:
            raise Unavailable(payload.decode("utf-8"))
        if op != expected:
            raise Internal(
                f"The workers are out of step: worker {self.peer} is in {Op(op).name.lower()}, another one in "
                f"{expected.name.lower()}; all must make the same collective calls in the same order."
            )
        return payload

    def close(self) -> None:
        """Close the connection; the peer sees a hangup."""
        self.sock.close()


def accept_worker(
    listener: socket.socket, world_size: int, secret: bytes, deadline: float, timeout_s: float
) -> Channel | None:
    """Let one worker in; None if the one who knocked was no worker of this run (a stranger must not end it)."""
    listener.settimeout(max(deadline - time.monotonic(), 0.001))
    sock, _ = listener.accept()
    _tune(sock)
    try:
        peer, peer_world_size, send_key, receive_key = _admit(
            sock, secret=secret, deadline=min(deadline, time.monotonic() + _HANDSHAKE_TIMEOUT_S)
        )
    except (OSError, HangupError, Unauthenticated):
        sock.close()
        return None
    if peer_world_size != world_size or not 0 < peer < world_size:
        sock.close()
        raise InvalidInput(
            f"A worker joined as rank {peer} of {peer_world_size}, worker 0 was told of {world_size}; "
            "start all workers with the same WORLD_SIZE."
        )
    channel = Channel(sock, peer, send_key, receive_key, timeout_s)
    try:
        channel.send(Op.WELCOME, b"")
    except Unavailable:
        channel.close()
        return None
    return channel


def reach_leader(
    address: tuple[str, int], rank: int, world_size: int, secret: bytes, deadline: float
) -> Channel | None:
    """Knock once; None if worker 0 is not there yet or hung up before it let this worker in."""
    sock = None
    try:
        sock = socket.create_connection(address, timeout=max(deadline - time.monotonic(), 0.001))
        _tune(sock)
        send_key, receive_key = _greet(sock, rank=rank, world_size=world_size, secret=secret, deadline=deadline)
        channel = Channel(sock, 0, send_key, receive_key, max(deadline - time.monotonic(), 0.001))
        channel.receive(Op.WELCOME)
    except (OSError, HangupError, Unavailable):
        if sock is not None:
            sock.close()
        return None
    except Unauthenticated:
        if sock is not None:
            sock.close()
        raise
    return channel


def _tune(sock: socket.socket) -> None:
    """Send small frames at once, and notice within about a minute and a half that the other machine is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):  # Linux; elsewhere the system's own times hold
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _greet(sock: socket.socket, *, rank: int, world_size: int, secret: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Handshake of the connecting side; returns the keys to send and to receive with.

    Raises:
        Unauthenticated: the other side does not know the secret.
        HangupError: the other side closed the connection first.
    """
    hello = _HELLO.pack(_MAGIC, rank, world_size, secrets.token_bytes(32))
    sock.sendall(hello)
    answer = _read_exactly(sock, 32 + _PROOF_BYTES, deadline)
    transcript = hello + answer[:32]
    if not hmac.compare_digest(answer[32:], _derive(secret, b"leader proof", transcript)):
        raise Unauthenticated("Worker 0 does not hold this run's secret; start all workers of a run with the same one.")
    sock.sendall(_derive(secret, b"follower proof", transcript))
    return _derive(secret, b"to leader", transcript), _derive(secret, b"to follower", transcript)


def _admit(sock: socket.socket, *, secret: bytes, deadline: float) -> tuple[int, int, bytes, bytes]:
    """Handshake of the accepting side; returns rank and world size of the peer and the keys to send and receive with.

    Raises:
        Unauthenticated: the peer does not know the secret; nothing of it may be trusted.
        HangupError: the peer closed the connection first.
    """
    hello = _read_exactly(sock, _HELLO.size, deadline)
    magic, rank, world_size, _ = _HELLO.unpack(hello)
    if magic != _MAGIC:
        raise Unauthenticated("A connection to worker 0 did not come from a worker.")
    nonce = secrets.token_bytes(32)
    transcript = hello + nonce
    sock.sendall(nonce + _derive(secret, b"leader proof", transcript))
    proof = _read_exactly(sock, _PROOF_BYTES, deadline)
    if not hmac.compare_digest(proof, _derive(secret, b"follower proof", transcript)):
        raise Unauthenticated("A connection to worker 0 did not hold this run's secret.")
    return rank, world_size, _derive(secret, b"to follower", transcript), _derive(secret, b"to leader", transcript)


def _read_exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    """Read ``size`` bytes or raise: ``HangupError`` at the end of the stream, ``TimeoutError`` past the deadline."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        sock.settimeout(remaining)
        count = sock.recv_into(view)
        if count == 0:
            raise HangupError
        view = view[count:]
    return bytes(buffer)


def _derive(secret: bytes, purpose: bytes, transcript: bytes) -> bytes:
    return hmac.new(secret, purpose + b"\0" + transcript, hashlib.sha256).digest()


def _lost(peer: int, error: Exception, timeout_s: float) -> Unavailable:
    if isinstance(error, TimeoutError):
        return Unavailable(
            f"Worker {peer} did not answer within {timeout_s:g} seconds; look at its log and retry the run."
        )
    return Unavailable(f"Worker {peer} went away in the middle of the run; look at its log and retry the run.")
