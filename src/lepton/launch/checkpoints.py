"""What a command saves to go on from: kept with the run while it works, and there again when it is started anew.

Files of ``$LEPTON_CHECKPOINTS`` become artifacts under ``checkpoints/``. One that is still being written is left alone:
it changes between two looks, or has a name that says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lepton.client.sdk import Client
from lepton.core.errors import Conflict, LeptonError, NotFound, Unauthenticated
from lepton.launch import outputs
from lepton.launch.control import Control, Stopped

PREFIX = "checkpoints/"
LOOK_EVERY_S = 0.2
_UNFINISHED = (".tmp", ".part", ".partial")
_Mark = tuple[int, int, int]


class Checkpoints:
    """Keeps the checkpoints of one worker.

    Args:
        run_id: The run.
        folder: Where the command saves them; files in it, no folders.
        control: The platform.
        say: Adds a line to the run's log.
    """

    def __init__(self, run_id: str, folder: Path, control: Control, say: Callable[[str], None]) -> None:
        self._run_id = run_id
        self._folder = folder
        self._control = control
        self._say = say
        self._kept: dict[str, _Mark] = {}
        self._seen: dict[str, _Mark] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="checkpoints", daemon=True)

    def restore(self) -> None:
        """Bring back what an attempt before has saved, whichever worker did."""
        for artifact in self._control.ask(lambda client: client.runs.artifacts(self._run_id)):
            name = artifact.path.removeprefix(PREFIX)
            if artifact.path.startswith(PREFIX) and "/" not in name:
                target = self._folder / name
                self._control.ask(lambda client, p=artifact.path, t=target: client.runs.download(self._run_id, p, t))  # type: ignore[misc]
        self._kept = self._marks()

    def start(self) -> None:
        """Begin to keep what is saved, in a thread of its own."""
        self._thread.start()

    def finish(self) -> None:
        """Keep what was saved last, now that nobody writes any more."""
        self._done.set()
        self._thread.join()
        self._seen = self._marks()
        self._keep()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            self._keep()

    def _keep(self) -> None:
        """Send files that are new and have not changed since the last look."""
        now = self._marks()
        for name, mark in now.items():
            if mark == self._seen.get(name) and mark != self._kept.get(name):
                self._send(name)
                self._kept[name] = mark
        self._seen = now

    def _send(self, name: str) -> None:
        try:
            self._control.ask(lambda client: self._put(client, name))
        except (Unauthenticated, NotFound, Conflict, Stopped):  # the run has ended meanwhile
            return
        except LeptonError as error:
            self._say(f"the checkpoint {name} was not kept: {error.message}")
        except OSError:  # it is gone, or no file
            return

    def _put(self, client: Client, name: str) -> None:
        with os.fdopen(outputs.open_output(self._folder / name), "rb") as file:
            client.runs.put_artifact(self._run_id, PREFIX + name, file)

    def _marks(self) -> dict[str, _Mark]:
        found: dict[str, _Mark] = {}
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and not entry.name.endswith(_UNFINISHED):
                    with suppress(OSError):
                        if entry.is_file(follow_symlinks=False):
                            about = entry.stat(follow_symlinks=False)
                            found[entry.name] = (about.st_ino, about.st_size, about.st_mtime_ns)
        return found
