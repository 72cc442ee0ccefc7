"""Start a replica: read its configuration from standard input, say on which port it is, keep its workers."""

from __future__ import annotations

import json
import os
import sys

from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.supervisor import Supervisor, prepare


def main() -> int:
    """Supervise what standard input asks for, until SIGTERM."""
    config = ReplicaConfig.from_json(sys.stdin.buffer.read())
    prepare()
    try:
        supervisor = Supervisor(config)
    except OSError as error:
        _say({"error": f"The endpoint's address cannot be listened on ({type(error).__name__})."})
        return 1
    _say({"port": supervisor.port})
    supervisor.run()
    return 0


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # Whoever started this closes its end of the pipe; nothing may be written to it from here on.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
