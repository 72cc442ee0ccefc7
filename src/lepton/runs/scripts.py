"""The verbs of runs of users' own code: submit a command with its folder, and what its launcher asks for.

The row of such a run is `Runs`'s, as that of any other; here is what comes with it: the bundle of files, kept under a
key of its own so that a retry needs no copy, and the assignment, which only the run itself may read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import Actor
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.runs.commands import COMMAND, Command, Submission
from lepton.runs.operations import Runs
from lepton.runs.records import Run, Scheduling
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring

MAX_KEY, MAX_MESSAGE = 128, 2000


class Scripts:
    """Runs of users' own code."""

    def __init__(self, *, runs: Runs, guard: Guard, keyring: Keyring, blobs: BlobStore, settings: Settings) -> None:
        self._runs = runs
        self._guard = guard
        self._keyring = keyring
        self._blobs = blobs
        self._max_bytes = settings.max_bundle_bytes
        self._arriving: set[str] = set()

    @property
    def elsewhere(self) -> bool:
        """Whether commands run on other machines than what the platform does itself."""
        return self._runs.dispatch.launching.engine is not None

    def like(self, actor: Actor, run_id: str, *, project: str = "default") -> Submission:
        """Return what was submitted as a run, to be submitted again with changes.

        Its secrets are in it only if it is the actor's own run: who changes the command could make it tell them.

        Raises:
            NotFound: if the project has no such run.
            Conflict: if it was none of a command.
        """
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id[:40]}") as tx:
            given = self._runs.given(tx, run_id, project=project)
        if given.task != COMMAND:
            raise Conflict(f"Run {run_id} is {given.task}, not a command of one's own. Name one of: lepton runs submit")
        command = Command.from_json(given.arguments)
        if given.user_id != actor.user_id:
            command = replace(command, secrets={})
        params = {name: value for name, value in given.params.items() if name not in ("command", "name")}
        name = str(given.params.get("name", ""))
        return Submission(command, name, params, scheduling=given.scheduling, like=run_id)

    def submit(
        self,
        actor: Actor,
        submission: Submission,
        chunks: Iterable[bytes],
        *,
        project: str = "default",
        again: Callable[[], Actor] | None = None,
    ) -> Run:
        """Keep a folder, encrypted, and queue the run of a command in it.

        Args:
            actor: Who asks; the run acts with its rights.
            submission: What is to be run.
            chunks: The folder, as a tar archive packed with gzip; nothing for one that is like an earlier run, which
                has that run's.
            project: Where.
            again: Says who asks when the folder has come; raises if that is nobody now.

        Returns:
            The new run; or the one that the same user submitted before with the same key.

        Raises:
            InvalidInput: if the command cannot be run, or the folder is empty.
            TooLarge: if the folder is.
        """
        self._guard.require(actor, "runs.submit", project=project)
        submission.command.check()
        key = submission.key
        if key is not None:
            if not 1 <= len(key) <= MAX_KEY:
                raise InvalidInput(f"The key of a submission has 1 to {MAX_KEY} characters. Take a UUID, for example.")
            known = self._runs.submitted(actor, key, project=project)
            if known is not None:
                return known
        if submission.like:
            return self._submit_like(actor, submission, project=project)
        bundle = new_id()
        self._arriving.add(bundle)
        kept = False
        try:
            blob = self._blobs.put(project, f"bundle/{bundle}", chunks, blob_id=bundle, max_bytes=self._max_bytes)
            if not blob.size_bytes:
                raise InvalidInput("The folder did not arrive. Send it behind the first line, as a packed tar archive.")
            actor = actor if again is None else again()
            command = replace(submission.command, bundle=bundle)
            submission = replace(submission, scheduling=_scheduling(submission, command, blob.sha256))
            with self._guard.allow(actor, "runs.submit", project=project) as tx:
                run = self._queue(tx, actor, submission, command, project=project)
            kept = run is not None
            self._runs.changed.set()  # it can be seen now
        except sa.exc.IntegrityError:  # two with the same key at the same moment, on PostgreSQL
            if key is None:
                raise
            run = None
        finally:
            if not kept:
                self._remove(project, bundle)
            self._arriving.discard(bundle)
        return run or self._twin(actor, submission, project)

    def _submit_like(self, actor: Actor, submission: Submission, *, project: str) -> Run:
        command = submission.command
        submission = replace(submission, scheduling=_scheduling(submission, command, command.bundle))
        try:
            with self._guard.allow(actor, "runs.submit", project=project) as tx:
                run = self._queue(tx, actor, submission, command, project=project)
            self._runs.changed.set()  # it can be seen now
        except sa.exc.IntegrityError:  # as above
            if submission.key is None:
                raise
            run = None
        return run or self._twin(actor, submission, project)

    def assignment(self, actor: Actor, run_id: str) -> Command:
        """Return what the launcher of a run is to start; only the run itself may ask, as there are secrets in it.

        Raises:
            Forbidden: if somebody else asks.
            Conflict: if the run is not running.
        """
        self._itself(actor, run_id)
        return Command.from_json(self._runs.assignment(run_id).arguments)

    def bundle(self, actor: Actor, run_id: str) -> BinaryIO:
        """Open the folder of a run, as the tar archive that was submitted; close it after use.

        Raises:
            Forbidden: if anybody but the run itself asks.
            NotFound: if the folder is gone.
        """
        self._itself(actor, run_id)
        assigned = self._runs.assignment(run_id)
        bundle = Command.from_json(assigned.arguments).bundle
        return self._blobs.open(assigned.run.project, f"bundle/{bundle}", bundle)

    def progress(self, actor: Actor, run_id: str, fraction: float, message: str) -> None:
        """Note how far a run is, 0 to 1, and what it is doing, as it says itself."""
        self._itself(actor, run_id)
        self._runs.record_progress(run_id, min(max(fraction, 0.0), 1.0), message[:MAX_MESSAGE])

    def give_up(self, actor: Actor, run_id: str, message: str) -> None:
        """End a run badly, with the sentence in which it says itself why; it is not tried again."""
        self._itself(actor, run_id)
        self._runs.fail(run_id, InvalidInput(message[:MAX_MESSAGE]))

    def sweep(self, tx: sa.Connection) -> None:
        """Remove folders of which no run knows: a platform was killed while they came."""
        known = self._runs.bundles(tx)
        for project, scope in self._keyring.scopes("bundle"):
            bundle = scope.partition("/")[2]
            if bundle not in known and bundle not in self._arriving:
                self._remove(project, bundle)

    def _queue(
        self, tx: sa.Connection, actor: Actor, submission: Submission, command: Command, *, project: str
    ) -> Run | None:
        """Queue the run; None if another one with the same key came first."""
        params = {"command": command.text} | ({"name": submission.name} if submission.name else {})
        if self._runs.has_key(tx, actor, submission.key, project=project):
            return None
        return self._runs.submit(
            actor,
            tx,
            project=project,
            task=COMMAND,
            arguments=command.to_json(),
            workers=command.workers,
            inputs=submission.inputs,
            params=params | dict(submission.params),
            retry_of=submission.like or None,
            scheduling=submission.scheduling,
        )

    def _twin(self, actor: Actor, submission: Submission, project: str) -> Run:
        found = self._runs.submitted(actor, submission.key or "", project=project)
        assert found is not None  # it was there a moment ago, and runs are not deleted
        return found

    def _itself(self, actor: Actor, run_id: str) -> None:
        if actor.run_id != run_id:
            raise Forbidden("Only the run itself may ask what it is to do. See it with: lepton runs get RUN")

    def _remove(self, project: str, bundle: str) -> None:
        with suppress(LeptonError):  # what cannot be removed now is found again
            self._keyring.shred(project, f"bundle/{bundle}")
            self._blobs.delete(bundle)


def _scheduling(submission: Submission, command: Command, sha256: str) -> Scheduling:
    """Return how a submission is queued whose folder has come."""
    reuse = ""
    if submission.reuse:
        # The names of secrets, not their values: a token that was renewed changes no result.
        about = command.to_json() | {"bundle": sha256, "secrets": sorted(command.secrets)}
        reuse = json.dumps([about, dict(submission.params)], sort_keys=True)
    return replace(submission.scheduling, key=submission.key, resources=command.resources, reuse=reuse)
