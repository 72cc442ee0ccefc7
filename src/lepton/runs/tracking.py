"""The verbs of what a run tells beside its log, for whoever may write to it: curves, params, tags, artifacts.

`Runs` in ``operations.py`` has these verbs too; what a run is, and how it ends, is there.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import BinaryIO

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, InvalidInput, LeptonError, NotFound, RunFailed
from lepton.core.ids import is_id, new_id
from lepton.core.settings import Settings
from lepton.runs import rows, track_rows
from lepton.runs.artifacts import check_path
from lepton.runs.batch import Batch, check_fields
from lepton.runs.dispatch import sealing
from lepton.runs.records import Artifact, CurveSummary, Given, Receipt, Run, RunState, Scheduling, Tracked
from lepton.runs.rows import RunRow
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

_CHECK_SILENCE = timedelta(minutes=1)
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
        self._silence = timedelta(hours=settings.track_silence_h)
        self._silence_checked_at: datetime | None = None

    def create(
        self,
        actor: Actor,
        *,
        project: str = DEFAULT_PROJECT,
        run_id: str | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        started_at: datetime | None = None,
    ) -> Run:
        """Note a run whose work is done elsewhere; it runs until `end`, or until it is silent for too long.

        Args:
            actor: Whose run it is.
            project: Where it belongs.
            run_id: A ULID that whoever records it has made, so that asking twice makes one run; None makes one.
            params: Its settings; not encrypted, so that runs can be found by them.
            tags: Words about it, such as ``name`` and ``experiment``; not encrypted.
            started_at: When it began; None is now.

        Raises:
            InvalidInput: if the id is no ULID.
            Conflict: if another run has the id.
        """
        if run_id is not None and not is_id(run_id):
            raise InvalidInput(
                "The id of a run has 26 letters and digits in capitals (a ULID). Leave it out to get one."
            )
        check_fields(params or {})
        check_fields(tags or {})
        run_id = run_id or new_id()
        self._guard.require(actor, "runs.create", project=project, target=f"run:{run_id}")
        with self._database.read() as tx:
            there = rows.find(tx, run_id)
        row = there or self._outside(actor, project, run_id, started_at)
        with self._guard.allow(actor, "runs.create", project=project, target=f"run:{run_id}") as tx:
            # Somebody else may have noted it since: who sends what a killed program left, beside its last words.
            there = there or rows.insert_new(tx, row)
            row = there or row
            if (row.project, row.task, row.user_id) != (project, rows.OUTSIDE, actor.user_id):
                raise Conflict(f"There is another run {run_id}. Leave the id out to get a new one.")
            if there is None:
                track_rows.set_fields(tx, run_id, "param", params or {})
                track_rows.set_fields(tx, run_id, "tag", tags or {})
        return Run(
            id=row.id,
            project=project,
            task=row.task,
            state=row.state,
            workers=row.workers,
            submitted_by=row.submitted_by,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )

    def track(self, actor: Actor, run_id: str, batch: Batch, *, fixed: bool = False) -> Receipt:
        """Keep a batch of points, params and tags, all of it or nothing; one that was kept before changes nothing.

        The audit log has a line for the first batch that a client sends for somebody, not for each.

        Args:
            actor: Who asks.
            run_id: The run.
            batch: What it tells.
            fixed: Whether a param that the run has already keeps its value.

        Raises:
            NotFound: if there is no such run.
            InvalidInput: if a param would have to change that is fixed.
        """
        project, target = self._place_of(actor, run_id), f"run:{run_id}"
        with self._database.read() as tx:
            known = track_rows.heard(tx, run_id, batch.client)
        if known.user_id != actor.user_id:
            with self._guard.allow(actor, "runs.track", project=project, target=target) as tx:
                return self._keep(tx, actor, run_id, batch, project=project, fixed=fixed)
        self._guard.require(actor, "runs.track", project=project, target=target)
        with self._database.begin() as tx:
            return self._keep(tx, actor, run_id, batch, project=project, fixed=fixed)

    def _keep(
        self, tx: sa.Connection, actor: Actor, run_id: str, batch: Batch, *, project: str, fixed: bool
    ) -> Receipt:
        _check_run(tx, run_id, project)
        now = self._clock()
        state, is_new, kept = track_rows.hear(tx, run_id, batch, actor.user_id, now)
        if fixed and (other := track_rows.differing(tx, run_id, "param", batch.params)):
            raise InvalidInput(
                f"Param {other[0][:60]!r} of run {run_id} has another value already, and params stay as they are. "
                "Note it under another name, or as a tag."
            )
        if is_new:
            track_rows.add_points(tx, run_id, batch.points(now))
            track_rows.set_fields(tx, run_id, "param", batch.params)
            track_rows.set_fields(tx, run_id, "tag", batch.tags)
        return Receipt(batch.batch, is_new, kept, state)

    def end(
        self, actor: Actor, run_id: str, state: RunState, message: str = "", *, ended_at: datetime | None = None
    ) -> None:
        """End a run that is recorded from outside; does nothing if it has ended already.

        Args:
            actor: Who asks.
            run_id: The run.
            state: How it ended.
            message: Why it failed; kept encrypted.
            ended_at: When it ended; None is now.

        Raises:
            InvalidInput: if the state is none in which a run can end.
            Conflict: if the run is one of Lepton's own.
        """
        if not state.has_ended:
            raise InvalidInput("A run ends as succeeded, failed or cancelled. Name one of them.")
        project = self._place_of(actor, run_id)
        with self._guard.allow(actor, "runs.track", project=project, target=f"run:{run_id}") as tx:
            _check_run(tx, run_id, project)
            row = rows.find(tx, run_id)
            if row is None or row.task != rows.OUTSIDE:
                raise Conflict("Lepton runs this one itself and sees how it ends. Stop it with: lepton runs cancel")
            self._end_outside(tx, row, state, message, ended_at)

    def tracked(self, actor: Actor, run_id: str) -> Tracked:
        """Return params, tags and the curves of a run in short."""
        project = self._place_of(actor, run_id)
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id}") as tx:
            _check_run(tx, run_id, project)
            fields = track_rows.fields(tx, [run_id]).get(run_id, {})
            curves = track_rows.curves(tx, [run_id]).get(run_id, {})
        summaries = (
            CurveSummary(key, c.last_step, c.last_value, c.min_value, c.max_value, c.points)
            for key, c in curves.items()
        )
        return Tracked(fields.get("param", {}), fields.get("tag", {}), tuple(summaries))

    def given(self, tx: sa.Connection, run_id: str, *, project: str) -> Given:
        """Return what a run of a project was given, in the guard's transaction of the verb that starts another like it.

        There may be secrets in it, which are for who submitted it.

        Raises:
            NotFound: if the project has no such run, or its key was shredded.
        """
        _check_run(tx, run_id, project)
        row = rows.find(tx, run_id)
        assert row is not None  # runs are not deleted
        seal = sealing(self._keyring, project, run_id)
        arguments, params = (
            json.loads(seal.open(name, sealed)) if sealed else {}
            for name, sealed in (("arguments", row.sealed_arguments), ("params", row.sealed_params))
        )
        scheduling = Scheduling(row.resources, row.priority, row.preemptible, row.retries, row.timeout_s)
        return Given(row.task, row.user_id, arguments, params, scheduling)

    def give_up_silent(self) -> int:
        """End the runs from outside of which nothing was heard for too long; looks once a minute at most.

        Returns:
            How many there were.
        """
        now = self._clock()
        if self._silence_checked_at is not None and now - self._silence_checked_at < _CHECK_SILENCE:
            return 0
        self._silence_checked_at = now
        since = now - self._silence
        with self._database.read() as tx:
            lost = track_rows.silent(tx, since)
        hours = self._silence // timedelta(hours=1)
        for run_id in lost:
            with self._database.begin() as tx:
                row = rows.find(tx, run_id)
                if row is not None and run_id in track_rows.silent(tx, since):
                    self._end_outside(tx, row, RunState.FAILED, f"Nothing was heard of this run for {hours} hours.")
        return len(lost)

    def _end_outside(
        self, tx: sa.Connection, row: RunRow, state: RunState, message: str, ended_at: datetime | None = None
    ) -> None:
        sealed = None
        if state is RunState.FAILED and message:
            with suppress(NotFound):  # without its key the code alone has to do
                sealed = sealing(self._keyring, row.project, row.id).close("error", message)
        code = RunFailed.code if state is RunState.FAILED else None
        progress = 1.0 if state is RunState.SUCCEEDED else row.progress
        now = ended_at or self._clock()
        rows.move(tx, row.id, state, ended_at=now, error_code=code, sealed_error=sealed, progress=progress)

    def _outside(self, actor: Actor, project: str, run_id: str, started_at: datetime | None) -> RunRow:
        self._keyring.create(project, _scope(run_id))
        return RunRow(
            id=run_id,
            project=project,
            task=rows.OUTSIDE,
            state=RunState.RUNNING,
            workers=1,
            user_id=actor.user_id,
            submitted_by=actor.name,
            scopes=actor.scopes,
            created_at=self._clock(),
            started_at=started_at or self._clock(),
            sealed_arguments=b"",
            sealed_params=b"",  # its params are no secret: they are fields, and a list of runs asks for no key
        )

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

    def remove_artifacts(self, actor: Actor, run_id: str, path: str = "") -> int:
        """Remove an artifact, or all below a folder; all of the run if no path is given.

        Returns:
            How many there were.
        """
        project = self._place_of(actor, run_id)
        with self._guard.allow(actor, "runs.track", project=project, target=f"run:{run_id}") as tx:
            _check_run(tx, run_id, project)
            removed = track_rows.unname_artifacts(tx, run_id, path)
        with suppress(LeptonError, OSError):  # what cannot be removed now is swept later
            self._remove(removed)
        return len(removed)

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
        with self._database.read() as tx:
            return place_of(actor, rows.project_of(tx, run_id))


def place_of(actor: Actor, project: str | None) -> str:
    """Return where an actor is to be asked for its rights on a run.

    Args:
        actor: Who asks.
        project: Of the run; None if there is no such run.

    Returns:
        The project; one of the actor's for a run that it has no business with, which so looks like one that does not
        exist.
    """
    if project is not None and project in actor.roles:
        return project
    return DEFAULT_PROJECT if DEFAULT_PROJECT in actor.roles else min(actor.roles, default=DEFAULT_PROJECT)


def _check_run(tx: sa.Connection, run_id: str, project: str) -> None:
    if rows.project_of(tx, run_id) != project:
        raise NotFound(f"There is no run {run_id[:40]!r}. See the runs there are with: lepton runs list")


def _scope(run_id: str) -> str:
    return f"run/{run_id}"
