"""Start a replica: read the deployment from standard input, listen, say so in one line, answer until told to end."""

from __future__ import annotations

import json
import os
import socket
import sys

import uvicorn

from lepton.core.errors import LeptonError
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.http import Replica


def main() -> int:
    """Serve the deployment given on standard input until SIGTERM."""
    config = ReplicaConfig.from_json(sys.stdin.buffer.read())
    try:
        replica = Replica(config)
        listener = _listen(config.host, config.port)
    except LeptonError as error:
        _say({"error": error.message})
        return 1
    except Exception as error:  # noqa: BLE001 - an edge: the parent needs a sentence, whatever happened
        _say({"error": f"The model could not be loaded ({type(error).__name__})."})
        return 1
    _say({"port": listener.getsockname()[1]})
    settings = uvicorn.Config(
        replica,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        ws="none",
    )
    uvicorn.Server(settings).run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    # Two generations of one endpoint share the port while one takes over from the other.
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((host, wanted))
        except OSError:
            listener.close()
            if wanted == 0:
                raise
            continue
        listener.listen(2048)
        return listener
    raise AssertionError("unreachable")


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # The parent closes its end of the pipe; nothing may be written to it from here on.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
