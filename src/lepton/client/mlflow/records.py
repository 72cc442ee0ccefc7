"""What a store of MLflow has, whatever its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

STATES = {"FINISHED": "succeeded", "FAILED": "failed", "KILLED": "cancelled"}
_LOGGED = re.compile(r"\bm-[0-9a-f]{32}\b")
_LARGEST = 1.7976931348623157e308
"""What MLflow's databases keep for an infinity."""


@dataclass(frozen=True, kw_only=True)
class OtherRun:
    """One of MLflow's runs.

    Attributes:
        id: What MLflow calls it.
        state: How it ended, in our words; None if it has not.
        place: Where its files are: a path or a URI; empty if the store is asked by id.
        measured: Names of its curves, where the store tells them with the run.
    """

    id: str
    experiment: str
    name: str
    state: str | None
    started_at: datetime | None
    ended_at: datetime | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    place: str
    measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherPoint:
    """One measured value; None is one that was not finite."""

    step: int
    time_ms: int
    value: float | None


@dataclass(frozen=True)
class OtherFile:
    """A file of a run; `open` reads it from its beginning."""

    path: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, kw_only=True)
class OtherVersion:
    """A version of one of MLflow's registered models.

    Attributes:
        run_id: The run that it comes from, empty if none is known.
        path: Folder of its files among those of the run, as they come over; None if that is not known.
    """

    number: int
    description: str
    tags: Mapping[str, str]
    run_id: str
    path: str | None


@dataclass(frozen=True, kw_only=True)
class OtherModel:
    """One of MLflow's registered models, its versions from the first on; `aliases` mean numbers of versions."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    versions: tuple[OtherVersion, ...]


class Store(Protocol):
    """Where MLflow keeps its runs. All that is deleted there is left out."""

    def count(self) -> int | None:
        """How many runs there are; None if that is not known before they are read."""

    def runs(self) -> Iterator[OtherRun]:
        """All runs, those of an experiment together."""

    def curves(self, run: OtherRun) -> dict[str, list[OtherPoint]]:
        """All that a run measured, in the order in which it was."""

    def files(self, run: OtherRun) -> Iterator[OtherFile]:
        """The files of a run, with those of the models that it logged.

        Raises:
            Unreachable: if they are where this store does not reach.
        """

    def models(self) -> Iterator[OtherModel]:
        """All registered models."""

    def close(self) -> None:
        """Let go of it."""


class Unreachable(Exception):
    """The files of a run are elsewhere, such as in a bucket; says where."""


def moment(milliseconds: object) -> datetime | None:
    """Read a time of MLflow's, in milliseconds since 1970; None if there is none."""
    if not isinstance(milliseconds, int | str) or not str(milliseconds).strip("-").isdigit():
        return None
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def finite(value: float) -> float | None:
    """Return a measured value; None if it is not finite, or stands for an infinity."""
    return value if -_LARGEST < value < _LARGEST else None


def path_of_source(source: str, run_id: str, logged: Callable[[str], str | None]) -> str | None:
    """Return the folder of a version among the files of its run; None if its source does not tell.

    Args:
        source: What MLflow says: a path or a URI.
        run_id: Of the run.
        logged: Returns the name of a logged model, by its id.
    """
    if found := _LOGGED.search(source):
        return logged(found[0])
    if run_id and (inside := re.search(rf"{re.escape(run_id)}/(?:artifacts/)?(.+)", source)):
        return inside[1].rstrip("/")
    return None
