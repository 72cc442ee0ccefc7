"""Does a replica's HTTP server grow? Resident memory after a warm-up and after many more requests, over real sockets.

Run: python benchmarks/serving/memory.py [requests]        (1,000,000 unless told)

The server is a process of its own that answers 200 bytes to 700. Clients keep connections, pipeline, open and close
them, send chunks, compressed bodies, refused and broken requests. The warm-up is a tenth of the requests. Prints
resident memory at each tenth and fails if it grew by more than 2% from the first tenth to the end.
"""

import gzip
import multiprocessing
import socket
import sys
import time
from pathlib import Path

BODY = b"y" * 200
MOST_GROWTH = 0.02
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
PLAIN = HEAD + b"Content-Length: 700\r\n\r\n" + b"x" * 700
PACKED = gzip.compress(b"x" * 700)
KEPT = 64
ODD = [
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"2bc\r\n" + b"x" * 700 + b"\r\n0\r\nT: u\r\n\r\n",
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
    HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc",
    HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    HEAD + b"Content-Length: 99999999\r\n\r\n",
    b"\0\0\0",
    HEAD + b"Content-Length: 10\r\n\r\nabc",
    HEAD[:30],
]


def serve(port: multiprocessing.SimpleQueue) -> None:
    import asyncio

    import uvloop

    from lepton.endpoints.replica.exchange import Request
    from lepton.endpoints.replica.server import Server

    class Constant:
        def admit(self, request: Request) -> None: ...

        def answer(self, request: Request) -> None:
            request.respond(200, BODY)

        def refuse(self, _path: bytes, status: int, sentence: str) -> tuple[bytes, bytes]:
            return b"%d %b" % (status, sentence.encode()), b""

    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(Constant())
        server.start()
        await server.listen({0: listener})
        port.put(listener.getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(main())


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read(sock: socket.socket, count: int) -> None:
    seen, left = 0, b""
    while seen < count:
        part = sock.recv(1 << 16)
        assert part, "the server closed"
        left += part
        seen += left.count(b"HTTP/1.1 200")
        left = left[-11:] if b"HTTP/1.1 200" not in left[-12:] else b""


def burst(port: int, kept: list[socket.socket], number: int) -> int:
    """Send one round; return how many requests it had."""
    for sock in kept:
        sock.sendall(PLAIN)
    for sock in kept:
        read(sock, 1)
    for sock in kept:
        sock.sendall(PLAIN * 8)
    for sock in kept:
        read(sock, 8)
    with connect(port) as passing:
        passing.sendall(ODD[number % len(ODD)])
        passing.shutdown(socket.SHUT_WR)
        while passing.recv(1 << 16):
            pass
    return len(kept) * 9 + 1


def main(wanted: int) -> int:
    context = multiprocessing.get_context("spawn")
    ports = context.SimpleQueue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    port = ports.get()
    kept = [connect(port) for _ in range(KEPT)]
    began = time.monotonic()
    done, rounds, marks = 0, 0, []
    for tenth in range(1, 11):
        while done < wanted * tenth // 10:
            done += burst(port, kept, rounds)
            rounds += 1
        marks.append(resident_kib(server.pid))
        print(f"{done:>10,} requests  {marks[-1]:>8,} KiB  {time.monotonic() - began:6.1f} s", flush=True)
    server.terminate()
    growth = marks[-1] / marks[0] - 1
    print(f"growth from the first tenth to the end: {growth:+.2%} (allowed {MOST_GROWTH:.0%})")
    return 0 if growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
