"""The listening sockets of a replica. The supervisor keeps every one of them open for as long as it lives.

All are bound to one port with SO_REUSEPORT, so the kernel spreads connections over them. A connection that waits in one
is taken by whichever worker accepts on it next: no worker's end resets it.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable

from lepton.endpoints.replica.config import Workers

BACKLOG = 2048
_PATIENCE_S = 2.0
_MOST = 128
_NEAR = 50


def count_for(workers: Workers) -> int:
    """Return how many sockets a range of workers needs.

    One each when their number is fixed. When it varies, four for each of the most there can be, so that any number of
    workers gets about equal shares.
    """
    return workers.max if workers.max in (workers.min, 1) else min(4 * workers.max, _MOST)


def shares(sockets: int, slots: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Deal the sockets out to workers, by the slots of those that are ready."""
    order = sorted(slots)
    return {slot: tuple(range(place, sockets, len(order))) for place, slot in enumerate(order)}


class Sockets:
    """All listening sockets of one replica.

    Args:
        port: Port to bind to if nobody has it; otherwise, and for 0, any free one.

    Raises:
        OSError: if the address is not one of this machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self._all = [_bound(host, _wait_for(host, port))]
        self._address = self._all[0].getsockname()
        self._listening = False

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> socket.socket:
        return self._all[number]

    @property
    def port(self) -> int:
        """TCP port of them all."""
        return int(self._address[1])

    def grow(self, count: int) -> None:
        """Have at least this many. None is ever closed: that would reset what waits in it."""
        while len(self._all) < count:
            made = _bound(*self._address)
            self._all.append(made)
            if self._listening:
                _listen(made)

    def listen(self) -> None:
        """Let connections wait in them from now on; before, they are refused."""
        if not self._listening:
            self._listening = True
            for made in self._all:
                _listen(made)

    def close(self) -> None:
        """Let go of them all; connections are refused from when the workers have let go too."""
        for made in self._all:
            made.close()


class Reserved:
    """A port that this process keeps for its workers, which listen on it by themselves.

    Args:
        host: Address.
        near: The port to begin with; the next free one is taken.

    Raises:
        OSError: if the address is not one of this machine.
    """

    def __init__(self, host: str, near: int) -> None:
        wanted = [*range(near, min(near + _NEAR, 65536)), 0]
        port = next(port for port in wanted if port == 0 or _is_free(host, port))
        # Bound and not listening: connections go to the workers, and nobody else of another user gets the port.
        self._held = _bound(host, port)

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._held.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    # Without SO_REUSEPORT: with it, a port that another replica has would be shared with that one.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def _wait_for(host: str, port: int) -> int:
    """Return the port once it is free, or 0 if somebody keeps it."""
    deadline = time.monotonic() + _PATIENCE_S
    while port:
        # Without SO_REUSEPORT: with it, a port that another replica has would be shared with that one.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.02)  # workers of a supervisor that was killed may need a moment to be gone
    return 0


def _listen(made: socket.socket) -> None:
    made.listen(BACKLOG)
    # Only now: two that may be reused and do not listen yet would not see each other in `_wait_for`. Connections
    # inherit it, so those that linger when this process has gone do not keep its port from the next.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made
