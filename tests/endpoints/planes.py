"""A control plane that answers a replica's questions as a test wants it to, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeControlPlane:
    """Allows the tokens in `allowed`, says 401 to others, and counts the questions."""

    def __init__(self) -> None:
        self.allowed = {"good"}
        self.asked: Counter[str] = Counter()
        self.expires_in_s = 5.0
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.headers["Authorization"].removeprefix("Bearer ")
                plane.asked[token] += 1
                plane.path = self.path
                status, body = plane.answer(token)
                payload = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, token: str) -> tuple[int, dict[str, object]]:
        if token in self.allowed:
            return 200, {"expires_in_s": self.expires_in_s}
        if token == "viewer":
            return 403, {"error": {"code": "forbidden", "message": "Your role is viewer."}}
        return 401, {"error": {"code": "unauthenticated", "message": "This token is unknown."}}

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
