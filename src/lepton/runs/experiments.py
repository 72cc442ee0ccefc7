"""The verbs of experiments, and of runs as a program that was written for MLflow knows them.

An experiment gathers the runs that bear its name as their tag ``experiment``. What a run tells goes through `Runs`.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, InvalidInput, NotFound
from lepton.core.ids import new_id
from lepton.runs import experiment_rows, rows, track_rows
from lepton.runs.batch import check_fields
from lepton.runs.experiment_rows import TAG
from lepton.runs.filters import Condition, Order
from lepton.runs.operations import Runs
from lepton.runs.points import Curve
from lepton.runs.records import Experiment, RunState
from lepton.runs.rows import OUTSIDE, RunRow
from lepton.runs.tracking import place_of
from lepton.store.database import Database

DEFAULT_ID, DEFAULT_NAME = "0", "Default"
"""The experiment of every project, for whoever names none."""
MAX_NAME = 250
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class RecordedRun:
    """A run with everything it has told but its curves' points.

    Attributes:
        experiment_id: Of its experiment; `DEFAULT_ID` if that has no row.
        curves: What is known of each curve.
        words: By kind: ``param``, ``tag``, and what only programs read, ``input``, ``output`` and ``model``.
    """

    id: str
    project: str
    experiment_id: str
    state: RunState
    submitted_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    is_deleted: bool
    curves: Mapping[str, Curve]
    words: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Word:
    """Something that a program has kept with a run: its key and text."""

    run_id: str
    key: str
    text: str


@dataclass(frozen=True)
class Wanted:
    """Which runs are looked for.

    Attributes:
        experiments: Ids of theirs.
        deleted: Whether the deleted runs are wanted, or the others; None: both.
    """

    experiments: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    orders: tuple[Order, ...] = field(default=())
    deleted: bool | None = False
    limit: int = 100
    offset: int = 0


class Experiments:
    """What runs are gathered in."""

    def __init__(self, *, database: Database, guard: Guard, runs: Runs, clock: Clock) -> None:
        self._database = database
        self._guard = guard
        self._runs = runs
        self._clock = clock

    def create(
        self, actor: Actor, name: str, *, tags: Mapping[str, str] = NONE, project: str = DEFAULT_PROJECT
    ) -> Experiment:
        """Make an experiment; runs that bear its name already belong to it.

        Raises:
            Conflict: if there is one of that name.
        """
        check_fields({TAG: name, **tags})
        now = self._clock()
        made = Experiment(new_id(), _named(name), now, now, dict(tags))
        with self._guard.allow(actor, "runs.create", project=project, target="experiment") as tx:
            if name == DEFAULT_NAME or not experiment_rows.add(tx, project, made):
                raise Conflict(f"There is an experiment {name[:80]!r} already. Use it, or choose another name.")
        return made

    def get(
        self, actor: Actor, experiment_id: str | None = None, *, name: str | None = None, project: str = DEFAULT_PROJECT
    ) -> Experiment:
        """Return the experiment of an id, or of a name.

        Raises:
            NotFound: if there is none.
        """
        with self._guard.allow(actor, "runs.list", project=project, target="experiment") as tx:
            return _found(tx, project, experiment_id, name)

    def list(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> builtins.list[Experiment]:
        """Return the experiments of a project, newest first."""
        with self._guard.allow(actor, "runs.list", project=project, target="experiment") as tx:
            return _every(tx, project)

    def update(
        self,
        actor: Actor,
        experiment_id: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        deleted: bool | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> None:
        """Rename an experiment, set its tags (None removes one), mark it as deleted or as not.

        Raises:
            NotFound: if there is none of that id.
            Conflict: if there is another one of the new name.
            InvalidInput: if the one that every project has would be renamed or deleted.
        """
        check_fields({key: value or "" for key, value in (tags or {}).items()} | ({} if name is None else {TAG: name}))
        with self._guard.allow(actor, "runs.track", project=project, target="experiment") as tx:
            known = _found(tx, project, experiment_id, None, lock=True)
            if experiment_id == DEFAULT_ID:
                if name is not None or deleted:
                    raise InvalidInput("The experiment 'Default' can be neither renamed nor deleted.")
                if experiment_rows.find(tx, project, known.id) is None:
                    experiment_rows.add(tx, project, known)
            if name is not None and name != known.name:
                if name == DEFAULT_NAME or experiment_rows.find(tx, project, name=_named(name)) is not None:
                    raise Conflict(f"There is an experiment {name[:80]!r} already. Choose another name.")
                experiment_rows.rename(tx, project, known.name, name)
            kept = {key: value for key, value in {**known.tags, **(tags or {})}.items() if value is not None}
            now = self._clock()
            gone = {None: known.deleted_at, True: now, False: None}[deleted]
            changed = replace(known, name=name or known.name, tags=kept, changed_at=now, deleted_at=gone)
            experiment_rows.change(tx, project, changed)

    def start(
        self,
        actor: Actor,
        experiment_id: str,
        *,
        tags: Mapping[str, str] = NONE,
        started_at: datetime | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> RecordedRun:
        """Note a run of an experiment, whose work is done elsewhere.

        Raises:
            NotFound: if there is no such experiment.
            InvalidInput: if that is deleted.
        """
        experiment = self.get(actor, experiment_id, project=project)
        if experiment.deleted_at is not None:
            raise InvalidInput(f"Experiment {experiment.name[:80]!r} is deleted. Restore it, or use another one.")
        made = self._runs.create(actor, project=project, tags={**tags, TAG: experiment.name}, started_at=started_at)
        return self.run(actor, made.id)

    def run(self, actor: Actor, run_id: str) -> RecordedRun:
        """Return a run with all it has told.

        Raises:
            NotFound: if there is no such run.
        """
        with self._on_run(actor, "runs.get", run_id) as (tx, row):
            return _recorded(tx, row.project, [row])[0]

    def search(self, actor: Actor, wanted: Wanted, *, project: str = DEFAULT_PROJECT) -> builtins.list[RecordedRun]:
        """Return the runs that are wanted, as they are wanted; experiments that there are not have none."""
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            names = [one.name for one in _every(tx, project) if one.id in wanted.experiments]
            found = experiment_rows.search(
                tx, project, names,
                conditions=wanted.conditions, orders=wanted.orders, deleted=wanted.deleted,
                limit=wanted.limit, offset=wanted.offset,
            )  # fmt: skip
            return _recorded(tx, project, found)

    def move(self, actor: Actor, run_id: str, state: RunState, *, ended_at: datetime | None = None) -> None:
        """Let a run that is recorded from outside be in a state: it ends, or goes on after it has ended.

        Raises:
            Conflict: if the run is one of Lepton's own.
        """
        with self._on_run(actor, "runs.track", run_id) as (tx, row):
            if row.task != OUTSIDE:
                raise Conflict("Lepton runs this one itself and sees how it ends. Stop it with: lepton runs cancel")
            experiment_rows.set_state(tx, run_id, state, (ended_at or self._clock()) if state.has_ended else None)

    def mark(self, actor: Actor, run_id: str, *, deleted: bool) -> None:
        """Take a run out of all lists, or put it back; what it has told stays."""
        with self._on_run(actor, "runs.track", run_id) as (tx, _):
            experiment_rows.set_deleted(tx, run_id, self._clock() if deleted else None)

    def keep(self, actor: Actor, run_id: str, kind: str, words: Mapping[str, str]) -> None:
        """Keep texts of a program with a run, under keys; those that are there get the new text."""
        with self._on_run(actor, "runs.track", run_id) as (tx, _):
            track_rows.set_fields(tx, run_id, kind, words)

    def forget(self, actor: Actor, run_id: str, kind: str, key: str) -> None:
        """Remove a tag of a run, or a text that was kept with it.

        Raises:
            NotFound: if it has none of that key.
        """
        with self._on_run(actor, "runs.track", run_id) as (tx, _):
            if not experiment_rows.remove_field(tx, run_id, kind, key):
                raise NotFound(f"Run {run_id} has no {kind} {key[:60]!r}.")

    def kept(
        self,
        actor: Actor,
        kind: str,
        *,
        key: str | None = None,
        experiments: Sequence[str] | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> builtins.list[Word]:
        """Return the texts of a kind that were kept with the runs of a project, those of the newest runs first.

        Args:
            actor: Who asks.
            kind: Of what kind.
            key: Only this one.
            experiments: Only of runs of the experiments of these ids.
            project: Where.
        """
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            names = None
            if experiments is not None:
                names = [one.name for one in _every(tx, project) if one.id in experiments]
            found = experiment_rows.of_kind(tx, project, kind, key=key, names=names)
        return [Word(*one) for one in found]

    @contextmanager
    def _on_run(self, actor: Actor, action: str, run_id: str) -> Iterator[tuple[sa.Connection, RunRow]]:
        """Open the guard for an action on a run, and find it."""
        with self._database.read() as tx:
            project = place_of(actor, rows.project_of(tx, run_id))
        with self._guard.allow(actor, action, project=project, target=f"run:{run_id[:40]}") as tx:
            if action == "runs.track":
                experiment_rows.hold(tx, run_id)
            row = rows.find(tx, run_id)
            if row is None or row.project != project:
                raise NotFound(f"There is no run {run_id[:40]!r}. See the runs there are with: lepton runs list")
            yield tx, row


_DEFAULT = Experiment(DEFAULT_ID, DEFAULT_NAME, _BEGINNING, _BEGINNING)


def _named(name: str) -> str:
    if not name.strip():
        raise InvalidInput("An experiment needs a name of 1 to 250 characters.")
    if len(name) > MAX_NAME:
        raise InvalidInput(f"The name of an experiment has {MAX_NAME} characters at most.")
    return name


def _found(
    tx: sa.Connection, project: str, experiment_id: str | None, name: str | None, *, lock: bool = False
) -> Experiment:
    found = experiment_rows.find(tx, project, experiment_id, name=name, lock=lock)
    if found is None and (experiment_id == DEFAULT_ID or name == DEFAULT_NAME):
        return _DEFAULT
    if found is None:
        wanted = experiment_id or name or ""
        raise NotFound(f"There is no experiment {wanted[:80]!r} in project {project!r}.")
    return found


def _every(tx: sa.Connection, project: str) -> list[Experiment]:
    found = experiment_rows.experiments(tx, project)
    return found if any(one.id == DEFAULT_ID for one in found) else [*found, _DEFAULT]


def _recorded(tx: sa.Connection, project: str, found: Sequence[RunRow]) -> list[RecordedRun]:
    ids = [row.id for row in found]
    words, curves = track_rows.fields(tx, ids), track_rows.curves(tx, ids)
    by_name = {one.name: one.id for one in _every(tx, project)}
    return [
        RecordedRun(
            id=row.id,
            project=row.project,
            experiment_id=by_name.get(words.get(row.id, {}).get("tag", {}).get(TAG, ""), DEFAULT_ID),
            state=row.state,
            submitted_by=row.submitted_by,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            is_deleted=row.deleted_at is not None,
            curves=curves.get(row.id, {}),
            words=words.get(row.id, {}),
        )
        for row in found
    ]
