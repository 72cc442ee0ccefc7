"""Sends what is in a spool, in order, once: the platform knows how far it came, and is asked when that is unsure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lepton.client.runs import Runs
from lepton.client.spool import Spool, left
from lepton.core.errors import Conflict, InvalidInput, LeptonError, TooLarge

LOG = logging.getLogger("lepton.tracking")
_BATCH_BYTES = 1 << 20
_VANISHED = "The process that recorded this run ended without a word."


class Sender:
    """Sends one spool.

    Args:
        spool: What is to be sent; its first frame says which run it is of.
        runs: The platform.
    """

    def __init__(self, spool: Spool, runs: Runs) -> None:
        self._spool = spool
        self._runs = runs
        self._about: Mapping[str, Any] = {}
        self._kept: int | None = None
        self.state = "running"
        """How the run stood when the platform was last asked."""
        self.done = False
        """Whether the end of the run was sent."""

    def send(self) -> bool:
        """Send some of what waits; False if nothing does.

        Raises:
            LeptonError: if it could not be sent; calling again goes on where the platform is.
        """
        try:
            return self._send()
        except LeptonError:
            self._kept = None  # whether it arrived is unsure
            raise

    def beat(self) -> None:
        """Say that the run lives, where nothing else is to be said."""
        if self._about:
            self._ask()

    def _send(self) -> bool:
        if not self._about:
            self._begin()
        if self._kept is None:
            start = int(self._about["start"])
            self._kept = max(start, self._ask())
        waiting = self._spool.read(self._kept, _BATCH_BYTES)
        if not waiting:
            return False
        if isinstance(waiting[0][0], dict):
            self._single(*waiting[0])
            return True
        batch: list[Any] = []
        end = self._kept
        for frame, behind in waiting:
            if isinstance(frame, dict):  # a file or the end: by itself
                break
            batch.append(frame)
            end = behind
        self._track(end, self._kept, gathered(batch))
        return True

    def _begin(self) -> None:
        first = self._spool.read(0)
        if not first or "run_id" not in first[0][0]:
            raise InvalidInput(f"{self._spool.path} is no record of a run. Remove it.")
        about, start = first[0]
        if about["create"] is not None:
            self._runs.create(run_id=about["run_id"], **about["create"])
        self._about = {**about, "start": start}

    def _ask(self) -> int:
        receipt = self._runs.track(self._about["run_id"], {"client": self._about["client"], "batch": 1, "after": 0})
        self.state = receipt.state
        return receipt.kept

    def _track(self, number: int, after: int, content: Mapping[str, object]) -> None:
        head = {"client": self._about["client"], "batch": number, "after": max(after, 1)}
        if after == self._about["start"]:
            head["after"] = 1  # what the first question left behind
        receipt = self._runs.track(self._about["run_id"], {**head, **content})
        self.state, self._kept = receipt.state, max(receipt.kept, int(self._about["start"]))

    def _single(self, frame: Mapping[str, Any], behind: int) -> None:
        assert self._kept is not None
        run_id = self._about["run_id"]
        if "artifact" in frame:
            file = self._spool.files() / frame["file"]
            try:
                self._runs.put_artifact(run_id, frame["artifact"], file)
            except (InvalidInput, TooLarge) as error:  # would be refused for ever, and hold up everything behind it
                LOG.warning("The file %r of run %s was not kept: %s", frame["artifact"], run_id, error.message)
            self._track(behind, self._kept, {})
            file.unlink(missing_ok=True)
        elif "end" in frame:
            if self._about["create"] is not None:
                self._runs.end(run_id, frame["end"], frame["message"])
            self.done = True
            self._kept = behind


def gathered(batch: list[Any]) -> dict[str, object]:
    """Put the frames of points, params and tags into one batch.

    Each is ``["m", step, time_us, {key: value}]``, ``["p", {key: value}]`` or ``["t", {key: value}]``.
    """
    curves: dict[str, tuple[list[int], list[int], list[float | None]]] = {}
    fields: dict[str, dict[str, str]] = {"p": {}, "t": {}}
    for frame in batch:
        if frame[0] == "m":
            _, step, time_us, values = frame
            for key, value in values.items():
                steps, times, column = curves.setdefault(key, ([], [], []))
                steps.append(step)
                times.append(time_us)
                column.append(value)
        else:
            fields[frame[0]] |= frame[1]
    return {
        "curves": [{"key": k, "steps": s, "times_us": t, "values": v} for k, (s, t, v) in curves.items()],
        "params": fields["p"],
        "tags": fields["t"],
    }


def send_left(folder: Path, runs: Runs, *, target: str) -> int:
    """Send what processes that are gone have left for one platform.

    Args:
        folder: Where the spools are.
        runs: The platform.
        target: Which platform that is; what was meant for another stays.

    Returns:
        How many runs were sent to their end.

    Raises:
        LeptonError: if the platform does not take it; what was not sent stays.
    """
    sent = 0
    for path in left(folder):
        spool = Spool.take(path)
        if spool is None:
            continue
        try:
            sent += _send_all(spool, runs, target)
        finally:
            spool.close()
    return sent


def _send_all(spool: Spool, runs: Runs, target: str) -> int:
    first = spool.read(0)
    if not first:  # killed before it had written anything
        spool.remove()
        return 0
    about = first[0][0]
    if about.get("target") != target:
        return 0
    sender = Sender(spool, runs)
    while sender.send() and not sender.done:
        pass
    if not sender.done and about["create"] is not None:
        with suppress(Conflict):
            runs.end(about["run_id"], "failed", _VANISHED)
    spool.remove()
    return 1
