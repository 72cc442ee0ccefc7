"""What was found out about a candidate, and how it is kept for a run that goes on after it was killed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lepton.training.auto.members import Answers
from lepton.training.auto.settings import Value

DONE, BEATEN, SLOW, FAILED = "done", "beaten", "slow", "failed"


@dataclass(frozen=True)
class Result:
    """How a candidate did.

    Attributes:
        lane: Which row of trials it belongs to.
        number: Its number in it, from 0.
        family: Name of the family.
        values: Its settings.
        rows: Most rows that it learned from.
        fate: ``done``; ``beaten``: given up after some folds; ``slow``: ended as it ran over; ``failed``.
        losses: Mean loss of each fold.
        fit_s: Seconds of one fit.
        seconds: Seconds of all.
        why: In a few words, what went wrong.
    """

    lane: str
    number: int
    family: str
    values: dict[str, Value]
    rows: int
    fate: str
    losses: tuple[float, ...] = ()
    fit_s: float = 0.0
    seconds: float = 0.0
    why: str = ""

    @property
    def key(self) -> str:
        """Name that tells it from all others of the run."""
        return f"{self.lane}#{self.number}"

    @property
    def loss(self) -> float:
        """Mean loss over the folds."""
        return float(np.mean(self.losses)) if self.losses else float("inf")


Found = tuple[Result, Answers | None]


def pack(found: Sequence[Found], spent_s: float) -> bytes:
    """Return results and the time that they took as bytes: JSON and arrays, in an npz."""
    arrays = {f"answers_{i}": answers for i, (_, answers) in enumerate(found) if answers is not None}
    told = json.dumps({"spent_s": spent_s, "results": [asdict(result) for result, _ in found]})
    file = io.BytesIO()
    np.savez(file, told=np.frombuffer(told.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(data: bytes) -> tuple[list[Found], float]:
    """Return what `pack` was given."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        told = json.loads(file["told"].tobytes())
        found: list[Found] = []
        for i, one in enumerate(told["results"]):
            result = Result(**{**one, "losses": tuple(one["losses"])})
            found.append((result, file[f"answers_{i}"] if f"answers_{i}" in file.files else None))
    return found, float(told["spent_s"])
