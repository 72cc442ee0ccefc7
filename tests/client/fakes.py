"""A platform made of prepared answers, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

RUN = {
    "id": "01RUN",
    "task": "datasets.clean",
    "verb": "datasets.clean",
    "state": "running",
    "workers": 1,
    "progress": 0.5,
    "message": "filling in",
    "submitted_by": "owner",
    "created_at": "2026-01-01T12:00:00Z",
}


@dataclass
class Prepared:
    """One answer; `body` may be bytes or something to write as JSON, `cut` closes the connection halfway."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    read_body: bool = True


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class FakePlatform:
    """Answers each method and path with what was prepared for it, in turn; the last one again and again."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self._prepared: dict[tuple[str, str], list[Prepared]] = {}

    def on(self, method: str, path: str, *answers: Any) -> None:
        """Prepare answers; what is not a `Prepared` becomes the JSON body of one."""
        self._prepared[method, path] = [a if isinstance(a, Prepared) else Prepared(a) for a in answers]

    def answer(self, method: str, path: str) -> Prepared:
        left = self._prepared.get((method, path), [Prepared(error("not_found", f"nothing at {path}"), 404)])
        return left.pop(0) if len(left) > 1 else left[0]


def error(code: str, message: str) -> dict[str, Any]:
    """The one shape of errors."""
    return {"error": {"code": code, "message": message, "request_id": "01R"}}


def stream(*runs: dict[str, Any], cut: bool = False, line: dict[str, Any] | None = None) -> Prepared:
    """A stream of events: a line if there is one, each state of a run, and the end after one that has ended."""
    events = [] if line is None else [f"id: {line['seq']}\nevent: line\ndata: {json.dumps(line)}\n\n"]
    events += [f"event: run\ndata: {json.dumps(run)}\n\n" for run in runs]
    if runs and runs[-1]["state"] != "running":
        events.append(f"event: end\ndata: {json.dumps(runs[-1])}\n\n")
    return Prepared("".join(events).encode(), headers={"Content-Type": "text/event-stream"}, cut=cut)


@contextmanager
def fake_platform() -> Iterator[FakePlatform]:
    """Serve a fake platform on a free port."""
    fake = FakePlatform()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            prepared = fake.answer(self.command, parts.path)
            body = self._body() if prepared.read_body else b""
            fake.seen.append(Seen(self.command, parts.path, parse_qs(parts.query), dict(self.headers.items()), body))
            content = prepared.body if isinstance(prepared.body, bytes) else json.dumps(prepared.body).encode()
            if prepared.status == 204:
                content = b""
            self.send_response(prepared.status)
            for name, value in prepared.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) * (2 if prepared.cut else 1)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of the standard library

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            pieces = b""
            while size := int(self.rfile.readline(), 16):
                pieces += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return pieces

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing of clients that hang up; some tests do."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
