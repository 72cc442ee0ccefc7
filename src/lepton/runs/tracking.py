"""The verbs of what a run tells beside its log, for whoever may write to it: its artifacts.

`Runs` in ``operations.py`` has these verbs too; what a run is, and how it ends, is there.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import BinaryIO

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, LeptonError, NotFound
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.runs import track_rows
from lepton.runs.artifacts import check_path
from lepton.runs.records import Artifact
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

_ABANDONED = timedelta(hours=6)
"""An upload that takes longer than this may be swept under its sender, who is told so and can send it again."""


class Tracking:
    """What a run tells: who may write it, who may read it."""

    def __init__(
        self,
        *,
        database: Database,
        guard: Guard,
        keyring: Keyring,
        blobs: BlobStore,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._database = database
        self._guard = guard
        self._keyring = keyring
        self._blobs = blobs
        self._clock = clock
        self._max_upload_bytes = settings.max_upload_bytes

    def put_artifact(
        self, actor: Actor, run_id: str, path: str, chunks: Iterable[bytes], *, again: Callable[[], Actor] | None = None
    ) -> Artifact:
        """Keep a file with a run, encrypted under the run's key; one of the same path is replaced in one step.

        Args:
            actor: Who asks.
            run_id: The run; it may have ended.
            path: Its place among the files of the run, such as ``plots/loss.png``.
            chunks: The content.
            again: Says who asks when the content has come, which can be much later; raises if that is nobody now.

        Raises:
            InvalidInput: if the path cannot be one.
            NotFound: if there is no such run, or its key was shredded.
            TooLarge: if it is over the limit of uploads.
        """
        check_path(path)
        project, target, blob_id = self._place_of(actor, run_id), f"run:{run_id}", new_id()
        with self._guard.allow(actor, "runs.track", project=project, target=target) as tx:
            _check_run(tx, run_id, project)
            track_rows.begin_artifact(tx, blob_id, run_id, self._clock())
        with self._removed_on_failure(blob_id):
            self._keyring.get(project, _scope(run_id))  # storing would replace a key that was shredded on purpose
            blob = self._blobs.put(project, _scope(run_id), chunks, blob_id=blob_id, max_bytes=self._max_upload_bytes)
            if again is not None:
                self._guard.require(again(), "runs.track", project=project, target=target)
            artifact = Artifact(path, blob.size_bytes, blob.sha256, self._clock())
            with self._database.begin() as tx:
                replaced = track_rows.finish_artifact(tx, blob_id, run_id, artifact)
                if replaced is None:
                    raise Conflict("The file took so long to come that it was given up. Send it again.")
        with suppress(LeptonError, OSError):  # what cannot be removed now is swept later
            self._remove(replaced)
        return artifact

    def artifacts(self, actor: Actor, run_id: str) -> builtins.list[Artifact]:
        """Return the artifacts of a run by path."""
        project = self._place_of(actor, run_id)
        with self._guard.allow(actor, "runs.artifacts", project=project, target=f"run:{run_id}") as tx:
            _check_run(tx, run_id, project)
            return track_rows.artifacts(tx, run_id)

    def download(self, actor: Actor, run_id: str, path: str) -> tuple[Artifact, BinaryIO]:
        """Return an artifact and its content, opened for reading; close it after use.

        Raises:
            NotFound: if the run has none of that path, or its key was shredded.
        """
        project = self._place_of(actor, run_id)
        with self._guard.allow(actor, "runs.artifacts", project=project, target=f"run:{run_id}") as tx:
            _check_run(tx, run_id, project)
            found = track_rows.find_artifact(tx, run_id, path)
            if found is None:
                raise NotFound(
                    f"Run {run_id} has no artifact {path[:60]!r}. See those it has with: lepton runs artifacts {run_id}"
                )
        blob_id, artifact = found
        return artifact, self._blobs.open(project, _scope(run_id), blob_id)

    def sweep(self) -> int:
        """Remove the files of uploads that broke off with their process, and of replaced artifacts.

        Returns:
            How many there were.
        """
        with self._database.read() as tx:
            lost = track_rows.unnamed_artifacts(tx, self._clock() - _ABANDONED)
        self._remove(lost)
        return len(lost)

    @contextmanager
    def _removed_on_failure(self, blob_id: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(LeptonError, OSError):  # what cannot be removed now is swept later
                self._remove([blob_id])
            raise

    def _remove(self, blob_ids: builtins.list[str]) -> None:
        for blob_id in blob_ids:
            self._blobs.delete(blob_id)  # before its row, by which it would be found again
        if blob_ids:
            with self._database.begin() as tx:
                track_rows.forget_artifacts(tx, blob_ids)

    def _place_of(self, actor: Actor, run_id: str) -> str:
        """The project of a run, or of the actor: a run it has no business with looks like one that does not exist."""
        with self._database.read() as tx:
            project = track_rows.project_of(tx, run_id)
        if project is not None and project in actor.roles:
            return project
        return DEFAULT_PROJECT if DEFAULT_PROJECT in actor.roles else min(actor.roles, default=DEFAULT_PROJECT)


def _check_run(tx: sa.Connection, run_id: str, project: str) -> None:
    if track_rows.project_of(tx, run_id) != project:
        raise NotFound(f"There is no run {run_id[:40]!r}. See the runs there are with: lepton runs list")


def _scope(run_id: str) -> str:
    return f"run/{run_id}"
