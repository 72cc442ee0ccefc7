"""Brings the catalog and the engine together: notes what ended, ends what is to end, starts what may start.

What is decided is in `queue` and `verdict`, which are pure; here is what is read before and written after. It acts for
nobody: who may submit was asked by the verb that did.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from lepton.core.clock import Clock
from lepton.core.errors import InvalidInput, LeptonError, NotFound, Unavailable
from lepton.core.ids import new_id
from lepton.runs import rows
from lepton.runs.commands import COMMAND, Command
from lepton.runs.cron import next_time
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec, EngineStatus
from lepton.runs.launching import Launching
from lepton.runs.queue import DEPTH, Decision, Started, Waiting, decide, used_by_project
from lepton.runs.records import Machine, Part, Quota, Resources, RunState, Stopping
from lepton.runs.room import pieces
from lepton.runs.rows import QueuedRow, RunRow, ScheduleRow
from lepton.runs.verdict import Verdict, backoff_s, judge, judge_command
from lepton.store.ciphers import derive
from lepton.store.database import Database
from lepton.store.keys import Keyring, Seal

DEPENDENCY_FAILED = "dependency_failed"
PLACE_PATIENCE_S = 60.0
"""How long a cluster may take to place a run that should have room: a busy machine starts a process in half of that."""
SAY_AFTER_S = 10.0
"""After so long a run says that it has no place yet."""
_NO_PLACE = "waits for the cluster to give it the place that should be free; nothing of it has begun"
_FURTHER_BACK = f"its turn comes after more than {DEPTH} other runs of the project"


@dataclass
class Dispatch:
    """What the controller calls again and again.

    Safe in several processes at once: every change of state is a compare-and-set, and an engine starts a run once
    however often it is submitted.

    Attributes:
        environment: Variables of every worker.
        command: What is started as a worker, followed by the id of the run.
        changed: Set when there is, or is about to be, something to do.
        launching: How users' own commands are started; set by whoever lets the platform listen.
        reasons: Why runs wait, as of the last look, by id.
        chores: What else is to be looked at again and again.
        place_patience_s: How long a run that has started may be without a place before it waits in the queue again.
        note: Writes down, in a transaction, what the platform did by itself: action, project, target.
    """

    database: Database
    keyring: Keyring
    engine: Engine
    clock: Clock
    environment: Mapping[str, str]
    note: Callable[[sa.Connection, str, str, str], None]
    chores: Sequence[Callable[[], object]] = ()
    command: tuple[str, ...] = (sys.executable, "-m", "lepton.worker")
    changed: threading.Event = field(default_factory=threading.Event)
    launching: Launching = field(default_factory=Launching)
    reasons: Mapping[str, str] = field(default_factory=dict)
    place_patience_s: float = PLACE_PATIENCE_S
    _waiting: set[str] = field(default_factory=set)

    def tick(self) -> bool:
        """Do what is to be done now.

        Returns:
            Whether a run is queued or running.
        """
        for chore in self.chores:
            chore()
        now = self.clock()
        with self.database.read() as tx:
            due, counts = rows.due(tx, now), rows.count_unended(tx)
            running = rows.running(tx) if counts else []
            held = rows.held(tx) if _are_queued(counts) else []
        if not due and not counts:  # most looks end here, and take no time from predictions
            for engine in self._engines():
                self._want(engine, {})
            return False
        for schedule in due:
            self._repeat(schedule, now)
        for row in running:
            with suppress(Unavailable):  # a cluster that is away is asked again; the runs of others go on
                self._reconcile(row, now)
        reasons = self._release(held, now)
        with self.database.read() as tx:
            running = rows.running(tx)
            counts = rows.count_unended(tx)
            first = rows.candidates(tx, now, DEPTH) if _are_queued(counts) else []
            quotas = rows.quotas(tx) if first else {}
            counted = [project for project, quota in quotas.items() if quota.hours is not None]
            hours = rows.cpu_hours(tx, counted, month_of(now)) if counted else {}
        for row in running:
            if row.project in counted:
                hours[row.project] = hours.get(row.project, 0.0) + cpu_seconds(row, now) / 3600
        for engine in self._engines():
            mine = [row for row in first if self.engine_of(row) is engine]
            try:
                found = self._decide(engine, mine, running, now, quotas=quotas, hours=hours)
            except Unavailable as error:
                reasons |= {row.id: error.message for row in mine}
                continue
            reasons |= found.reasons
            for row in self._rows_of(found.start):
                self._start(row, engine, found.parts.get(row.id, ()))
                running.append(row)  # it counts for the quotas of what starts elsewhere
            for row in [row for row in running if row.id in found.preempt]:
                self._stop(row, Stopping.PREEMPTED)
            self._want_room(engine, [row for row in mine if row.id in found.lacking])
        self.reasons = reasons
        return bool(counts)

    def _rows_of(self, ids: Sequence[str]) -> list[RunRow]:
        """Read runs that start, in the order in which they do; whoever is gone meanwhile does not."""
        with self.database.read() as tx:
            found = {row.id: row for row in rows.several(tx, ids)} if ids else {}
        return [found[run_id] for run_id in ids if run_id in found]

    def _want_room(self, engine: Engine, lacking: list[QueuedRow]) -> None:
        """Let an engine hear which runs more machines would help."""
        with suppress(Unavailable):
            machines = engine.machines() if lacking else ()
            each = {row.id: pieces(row.workers, row.needs.over(row.workers), machines) for row in lacking}
            self._want(engine, each)

    def _want(self, engine: Engine, lacking: Mapping[str, Sequence[Resources]]) -> None:
        with suppress(Unavailable):  # it is told again
            engine.want(lacking)

    def _decide(
        self, engine: Engine, first: list[QueuedRow], running: list[RunRow], now: datetime, *,
        quotas: Mapping[str, Quota], hours: Mapping[str, float],
    ) -> Decision:  # fmt: skip
        """Decide what starts on the machines of one engine."""
        if not first:
            return Decision((), (), {})
        waiting: dict[str, list[Waiting]] = {}
        for row in first:
            waited_s = max((now - (row.not_before or row.created_at)).total_seconds(), 0.0)
            waiting.setdefault(row.project, []).append(
                Waiting(row.id, row.project, row.needs, row.priority, waited_s, row.workers)
            )
        started = [
            Started(
                row.id, row.project, row.needs, row.priority, _ran_s(row, now), row.preemptible,
                leaving=row.cancel_asked or row.stopping is not None, workers=row.workers,
                parts=engine.parts(engine_id(row)),
            )
            for row in running
            if self.engine_of(row) is engine
        ]  # fmt: skip
        elsewhere = used_by_project((row.project, row.needs) for row in running if self.engine_of(row) is not engine)
        return decide(waiting, started, engine.machines(), quotas=quotas, hours=hours, elsewhere=elsewhere)

    def engine_of(self, row: RunRow | QueuedRow) -> Engine:
        """Return what runs a run: users' own code may be elsewhere."""
        return self.engine if row.task != COMMAND or self.launching.engine is None else self.launching.engine

    def _engines(self) -> tuple[Engine, ...]:
        return (self.engine,) if self.launching.engine is None else (self.engine, self.launching.engine)

    def machines(self) -> tuple[Machine, ...]:
        """Return the machines of all engines that answer."""
        found: list[Machine] = []
        for engine in self._engines():
            with suppress(Unavailable):  # that it is away is said with each run that waits for it
                found += engine.machines()
        return tuple(found)

    def reason(self, row: RunRow) -> str | None:
        """Say why a queued run waits; None if nobody has looked yet."""
        if row.not_before is not None and row.not_before > self.clock():
            return f"is tried again at {row.not_before:%H:%M:%S} UTC (failure {row.failures} of {row.retries + 1})"
        return self.reasons.get(row.id) or (_FURTHER_BACK if self.reasons else None)

    def end(self, row: RunRow, verdict: Verdict) -> bool:
        """End a run, unless it has ended; what it had used is counted."""
        now = self.clock()
        with self.database.begin() as tx:
            return rows.move(
                tx, row.id, verdict.state, ended_at=now, error_code=verdict.code,
                sealed_error=self._sealed(row, "error", verdict.message), sealed_message=None,
                progress=1.0 if verdict.state is RunState.SUCCEEDED else row.progress,
                cpu_seconds=cpu_seconds(row, now),
            )  # fmt: skip

    def _reconcile(self, row: RunRow, now: datetime) -> None:
        """Bring a running run up to date."""
        engine = self.engine_of(row)
        status = engine.status(engine_id(row))
        if status.phase is EnginePhase.RUNNING:
            if row.stopping is None and not row.cancel_asked and status.waits_s > self.place_patience_s:
                self._stop(row, Stopping.UNPLACED)
            elif row.stopping is None and row.timeout_s is not None and _ran_s(row, now) > row.timeout_s:
                self._stop(row, Stopping.TIMED_OUT)
            elif row.cancel_asked or row.stopping is not None:
                engine.cancel(engine_id(row))
            elif (status.waits_s > SAY_AFTER_S) is not (row.id in self._waiting):
                self._say_that_it_waits(row, status.waits_s > SAY_AFTER_S)
            return
        self._waiting.discard(row.id)
        if status.phase is EnginePhase.UNKNOWN:
            # A control plane died between the commit and the start of the workers, or of all of them.
            if not row.cancel_asked and row.stopping is None:
                self._submit(row)
                return
            engine.cancel(engine_id(row))
        verdict = self._judged(row, status)
        if verdict.state is RunState.QUEUED:
            text = "made room for another run; goes on when there is room"
            if row.stopping is Stopping.UNPLACED:
                text = "the cluster had no room for it, as others use it; starts when there is room"
            self._queue_again(row, text, now, failures=row.failures)
        elif verdict.again and row.failures < row.retries:
            wait_s = backoff_s(row.failures + 1)
            text = f"attempt {row.failures + 2} of {row.retries + 1} follows; the last one: {verdict.message}"
            self._queue_again(row, text, now + timedelta(seconds=wait_s), failures=row.failures + 1)
        else:
            self.end(row, verdict)

    def _say_that_it_waits(self, row: RunRow, waits: bool) -> None:
        """Change what a run says of itself when it has waited for a place for long, and when it has got it."""
        sealed = self._sealed(row, "message", _NO_PLACE if waits else _starting(row.workers))
        if sealed is not None:
            with self.database.begin() as tx:
                rows.set_progress(tx, row.id, progress=row.progress, sealed_message=sealed)
        (self._waiting.add if waits else self._waiting.discard)(row.id)

    def _queue_again(self, row: RunRow, text: str, not_before: datetime, *, failures: int) -> None:
        with self.database.begin() as tx:
            rows.move(
                tx, row.id, RunState.QUEUED, only_from=RunState.RUNNING, attempt=row.attempt + 1, failures=failures,
                not_before=not_before, stopping=None, sealed_message=self._sealed(row, "message", text),
                cpu_seconds=cpu_seconds(row, self.clock()),
            )  # fmt: skip

    def _stop(self, row: RunRow, why: Stopping) -> None:
        with self.database.begin() as tx:
            rows.stop(tx, row.id, why)
        self.engine_of(row).cancel(engine_id(row))

    def _release(self, held: list[RunRow], now: datetime) -> dict[str, str]:
        """Let go of runs whose dependencies are met, and end those whose cannot be any more; say what others await."""
        if not held:
            return {}
        with self.database.read() as tx:
            awaited = {row.id: row for row in rows.several(tx, (run_id for row in held for run_id in row.after))}
        reasons = {}
        for row in held:
            before = [awaited.get(run_id) for run_id in row.after]
            lost = next((one for one in before if one and one.state in (RunState.FAILED, RunState.CANCELLED)), None)
            if lost is not None or None in before:
                text = f"Run {lost.id} {lost.state.value}" if lost else "A run is gone"
                message = f"{text}, and this one was to start after it. Submit both again."
                self.end(row, Verdict(RunState.FAILED, DEPENDENCY_FAILED, message))
            elif waits_for := [one.id for one in before if one and one.state is not RunState.SUCCEEDED]:
                reasons[row.id] = f"starts after {len(waits_for)} other: {', '.join(waits_for[:3])}"
            elif not self._reuse(row, now):
                with self.database.begin() as tx:
                    rows.release(tx, row.id, now)
        return reasons

    def _reuse(self, row: RunRow, now: datetime) -> bool:
        """End a run with the results of one before it that had the same code and inputs; False if there is none."""
        if row.fingerprint is None:
            return False
        with self.database.begin() as tx:
            found = rows.same(tx, row.project, row.fingerprint)
            return found is not None and rows.move(
                tx, row.id, RunState.SUCCEEDED, only_from=RunState.QUEUED, ended_at=now, progress=1.0,
                outputs=list(found.outputs), reused_from=found.id, sealed_message=None,
            )  # fmt: skip

    def _start(self, row: RunRow, engine: Engine, parts: Sequence[Part]) -> None:
        if self._reuse(row, self.clock()):
            return
        text = _starting(row.workers)
        if len(parts) > 1:
            text += f" on {len(parts)} machines"
        most = 0.0 if parts else max((machine.has.cpus for machine in engine.machines()), default=0.0)
        if row.needs.cpus > most and not parts:
            text += f", more than this machine has room for at a time ({most:g})"
        try:
            sealed = sealing(self.keyring, row.project, row.id).close("message", text)
        except NotFound as error:  # its key has been shredded, and with it what it was to do
            self.end(row, Verdict(RunState.FAILED, error.code))
            return
        with self.database.begin() as tx:
            moved = rows.move(
                tx, row.id, RunState.RUNNING, only_from=RunState.QUEUED, started_at=self.clock(), sealed_message=sealed
            )
        if moved:
            self._submit(row, parts)

    def _submit(self, row: RunRow, parts: Sequence[Part] = ()) -> None:
        engine = self.engine_of(row)
        try:
            engine.submit(replace(self._spec(row), parts=tuple(parts)))
        except LeptonError as error:
            if isinstance(error, Unavailable) and _is_away(engine):
                self._queue_again(row, error.message, self.clock(), failures=row.failures)
            else:
                self.end(row, Verdict(RunState.FAILED, error.code, error.message))

    def _spec(self, row: RunRow) -> EngineSpec:
        argv, environment = (*self.command, row.id), self.environment
        if row.task == COMMAND:
            with self.database.read() as tx:
                started = rows.find(tx, row.id)
            assert started is not None
            assert started.started_at is not None  # it is running
            key = self.keyring.get(row.project, f"run/{row.id}")
            argv, environment = self.launching.start(row.id, row.project, key, started.started_at, attempt=row.attempt)
        return EngineSpec(
            run_id=engine_id(row),
            workers=row.workers,
            argv=argv,
            environment=environment,
            log_key=log_key(self.keyring, row.project, row.id),
            resources=row.resources,
            bare=row.task == COMMAND,
        )

    def _judged(self, row: RunRow, status: EngineStatus) -> Verdict:
        asked, stopping = row.cancel_asked, row.stopping
        if row.task != COMMAND:
            return judge(row.id, row.workers, status, cancel_asked=asked, stopping=stopping)
        command = None
        with suppress(NotFound):  # its key has been shredded; how it ended is known all the same
            arguments = sealing(self.keyring, row.project, row.id).open("arguments", row.sealed_arguments)
            command = Command.from_json(json.loads(arguments))
        return judge_command(row.id, row.workers, status, command, cancel_asked=asked, stopping=stopping)

    def _repeat(self, schedule: ScheduleRow, now: datetime) -> None:
        """Submit the run of a schedule whose moment has come; moments that were missed come once."""
        try:
            next_at = next_time(schedule.cron, schedule.timezone, now)
        except InvalidInput:  # a time zone that this machine no longer knows; asked again when it may be back
            next_at = now + timedelta(hours=1)
        with self.database.begin() as tx:
            template = rows.find(tx, schedule.run_id)
            last = rows.find(tx, schedule.last_run_id) if schedule.last_run_id else None
            if template is None or (last is not None and not last.state.has_ended):
                rows.go_on(tx, schedule, next_at, schedule.last_run_id, skipped=schedule.skipped + 1)
                return
            run_id = new_id()
            if rows.go_on(tx, schedule, next_at, run_id, skipped=0):
                again = replace(
                    template, user_id=schedule.user_id, submitted_by=schedule.created_by, scopes=schedule.scopes,
                    retry_of=None,
                )  # fmt: skip
                rows.insert(tx, copy_of(again, run_id, self.keyring, now))
                self.note(tx, "runs.submit", schedule.project, f"run:{run_id}")

    def _sealed(self, row: RunRow, place: str, text: str | None) -> bytes | None:
        if text is None:
            return None
        with suppress(NotFound):  # without its key the code alone has to do
            return sealing(self.keyring, row.project, row.id).close(place, text)
        return None


def _are_queued(counts: Mapping[tuple[str, RunState], int]) -> bool:
    return any(state is RunState.QUEUED for _, state in counts)


def _starting(workers: int) -> str:
    return f"starting {workers} workers" if workers > 1 else "starting a worker"


def _is_away(engine: Engine) -> bool:
    try:
        engine.machines()
    except Unavailable:
        return True
    return False


def engine_id(row: RunRow) -> str:
    """Return the name of a run's present attempt: an engine starts each name once."""
    return attempt_id(row.id, row.attempt)


def attempt_id(run_id: str, attempt: int) -> str:
    """Return what an engine knows an attempt by; the first has the run's own id."""
    return f"{run_id}x{attempt}" if attempt else run_id


def sealing(keyring: Keyring, project: str, run_id: str) -> Seal:
    """Return what encrypts the texts of a run."""
    return Seal(keyring, project, f"run/{run_id}")


def log_key(keyring: Keyring, project: str, run_id: str) -> bytes:
    """Return the 32 bytes that encrypt the log of a run.

    Raises:
        NotFound: if the run's key has been shredded.
    """
    return derive(keyring.get(project, f"run/{run_id}"), b"lepton/run-log/1")


def copy_of(row: RunRow, run_id: str, keyring: Keyring, now: datetime) -> RunRow:
    """Return a run that has yet to begin, with what another was given, sealed under a key of its own.

    Raises:
        NotFound: if the key of the other has been shredded.
    """
    old, new = sealing(keyring, row.project, row.id), sealing(keyring, row.project, run_id)
    arguments, params = old.open("arguments", row.sealed_arguments), old.open("params", row.sealed_params)
    keyring.create(row.project, f"run/{run_id}")
    return RunRow(
        id=run_id, project=row.project, task=row.task, state=RunState.QUEUED, workers=row.workers,
        user_id=row.user_id, submitted_by=row.submitted_by, scopes=row.scopes, created_at=now,
        sealed_arguments=new.close("arguments", arguments), sealed_params=new.close("params", params),
        inputs=row.inputs, retry_of=row.retry_of, bundle=row.bundle, resources=row.resources, priority=row.priority,
        preemptible=row.preemptible, retries=row.retries, timeout_s=row.timeout_s,
    )  # fmt: skip


def month_of(now: datetime) -> datetime:
    """Return the beginning of the calendar month."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _ran_s(row: RunRow, now: datetime) -> float:
    return max((now - (row.started_at or now)).total_seconds(), 0.0)


def cpu_seconds(row: RunRow, now: datetime) -> float:
    """Return the processor seconds of all attempts of a run."""
    this = _ran_s(row, now) if row.state is RunState.RUNNING else 0.0
    return row.cpu_seconds + this * row.needs.cpus
