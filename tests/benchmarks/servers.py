"""A tiny server that can stall."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class FakeServer:
    """Answers every request at once, one connection after the other, but for one stall.

    Attributes:
        stall_s: How long it does nothing, once.
        stall_at: Before which answer.
        status: Of every answer.
        answers: How many it gives to one request.
    """

    def __init__(
        self, *, stall_s: float = 0.0, stall_at: int = 0, status: int = 200, chunked: bool = False, answers: int = 1
    ) -> None:
        self._stall_s, self._stall_at = stall_s, stall_at
        body = b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello"
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 5"
        self._answer = b"HTTP/1.1 %d Some\r\n%s\r\n\r\n%s" % (status, length, body) * answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self.answered = 0
        self.bodies: list[bytes] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while (request := connection.recv(65536)) != b"":
                with self._lock:  # one at a time, as an event loop does
                    if self._stall_s and self.answered == self._stall_at:
                        self._woken.wait(self._stall_s)
                    self.answered += 1
                    self.bodies.append(request.partition(b"\r\n\r\n")[2])
                    connection.sendall(self._answer)

    def close(self) -> None:
        self._woken.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def running(server: FakeServer) -> Iterator[FakeServer]:
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
