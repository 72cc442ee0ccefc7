"""Start a replica: read its configuration from standard input, say on which port it is, keep its workers."""

from __future__ import annotations

import json
import os
import sys

from lepton.core.errors import LeptonError
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.fleet import Fleet
from lepton.endpoints.replica.supervisor import StartsAnswers, Supervisor, prepare
from lepton.runs.engines.processes import dies_with


def main(begin: StartsAnswers = Fleet) -> int:
    """Supervise what standard input asks for, until SIGTERM.

    Args:
        begin: Makes what answers.
    """
    config = ReplicaConfig.from_json(sys.stdin.buffer.read())
    if "--dies-with" in sys.argv:
        dies_with(int(sys.argv[sys.argv.index("--dies-with") + 1]))()
    prepare()
    try:
        supervisor = Supervisor(config, begin)
    except LeptonError as error:
        _say({"error": error.message})
        return 1
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
