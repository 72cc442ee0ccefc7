"""``python -m lepton.launch <run id>``: one worker of a run of a user's own command. Started by an engine."""

from __future__ import annotations

import os
import signal
import sys
import threading

from lepton.core import confine
from lepton.launch.launcher import Launcher, say
from lepton.runs.records import LaunchExit


def main(run_id: str) -> None:
    """Launch, and end as the command has ended.

    Args:
        run_id: The run; all else is in the environment and on standard input.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    secret = bytes.fromhex(sys.stdin.readline())
    confine.adopt_orphans()
    confine.hide_memory()  # there is a token in it
    end(Launcher(run_id, secret, dict(os.environ), stop).run())


def end(code: int) -> None:
    """Exit with a code; with a negative one, by that signal."""
    sys.stdout.flush()
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    if not isinstance(code, LaunchExit) and code in tuple(LaunchExit):
        say(f"the command ended with exit code {code}, which Lepton keeps for itself; the run ends with 1")
        code = 1
    sys.exit(int(code))


if __name__ == "__main__":
    main(sys.argv[1])
