"""``python -m lepton.tuner``, in the folder that says what to search; the platform starts it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from lepton.client import connect
from lepton.core.errors import LeptonError
from lepton.models.tune_requests import PLAN
from lepton.tuner.searching import Search


def main() -> int:
    """Search, and return how it ended: 0 for well."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    plan = json.loads(Path(PLAN).read_text(encoding="utf-8"))
    try:
        with connect() as client:
            search = Search(client, plan, run_id=os.environ["LEPTON_RUN_ID"], say=_say, stop=stop)
            search.run()
            _keep_page(search)
    except LeptonError as error:
        _say(error.message)
        return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _keep_page(search: Search) -> None:
    folder = os.environ.get("LEPTON_OUTPUTS")
    if folder:
        search.found().save(Path(folder) / "study.html")


if __name__ == "__main__":
    sys.exit(main())
