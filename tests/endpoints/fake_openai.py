"""A server that speaks enough of the OpenAI API to stand in for vLLM, and notes what it was asked; standard library."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "upstream-key"


@dataclass
class FakeOpenAI:
    """What was asked, and what holds back answers.

    Attributes:
        go: Set lets a held stream go on.
        broken: Set once the reader of a stream had gone.
    """

    base_url: str = ""
    heads: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fake_openai() -> Iterator[FakeOpenAI]:
    """Run one on a free port."""
    fake = FakeOpenAI()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            fake.heads.append(dict(self.headers))
            if self.path == "/v1/models":
                self._say(200, {"object": "list", "data": [{"id": "small", "object": "model"}]})
            else:
                self._say(404, {"error": {"message": "no such path"}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.heads.append(dict(self.headers))
            fake.bodies.append(body)
            prompt = body.get("prompt") or body.get("input") or body["messages"][-1]["content"]
            if prompt == "redirect":
                self.send_response(307)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif prompt in ("400", "401", "500"):
                self._say(int(prompt), {"error": {"message": f"upstream says {prompt}"}})
            elif body.get("stream"):
                self._stream(prompt)
            elif prompt == "hang":
                fake.go.wait(20)
                self._say(200, {})
            else:
                self._say(200, {"object": "chat.completion", "choices": [{"message": {"content": prompt[::-1]}}]})

        def _say(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, prompt: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for index, word in enumerate(prompt.split()):
                    if index:
                        fake.go.wait(20)
                    if word == "break":
                        self.close_connection = True
                        self.wfile.flush()
                        return
                    piece = word * 10_000 if word == "flood" else word
                    event = f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n"
                    for _ in range(2000 if word == "flood" else 1):
                        self._chunk(event.encode())
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")
            except OSError:
                fake.broken.set()
                self.close_connection = True

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.go.set()
        server.shutdown()
        thread.join()
        server.server_close()
