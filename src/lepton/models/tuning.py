"""The verbs of tuning: search for the best settings of a model, and the studies in which searches are written down.

A study is written in a journal, which only grows: Optuna's own, kept sealed. Whoever has the right to tune may write
one with Optuna itself, from anywhere. `studies` reads them; `lepton.tuner` searches.
"""

from __future__ import annotations

import builtins
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, InvalidInput, NotFound
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name
from lepton.datasets.operations import Datasets
from lepton.models import study_rows
from lepton.models.requests import check_target, choose_columns
from lepton.models.studies import DELETE_STUDY, Replay, Study
from lepton.models.study_rows import BatchRow, JournalRow
from lepton.models.tune_requests import (
    SHARE,
    TRIAL,
    TuneRequest,
    about_of,
    check_room,
    check_same,
    check_tuning,
    folder_of,
    plan_of,
)
from lepton.runs.commands import OURS, Command, Submission
from lepton.runs.operations import Runs
from lepton.runs.records import ONE_CPU, Resources, Run, Scheduling
from lepton.runs.scripts import Scripts
from lepton.store.keys import Keyring, Seal

ATTEMPTS = 3
"""How often a search whose process dies is taken up again."""
MOST_ENTRIES, LONGEST_ENTRY = 10_000, 1 << 20
_AT_A_TIME = 2_000
"""Batches that are read for one answer."""
_KEPT = 64
"""Journals that are kept as far as they were read."""


@dataclass(frozen=True)
class JournalPage:
    """Entries of a journal in their order; `next` is the number of the one behind them, `total` how many there are."""

    entries: tuple[str, ...]
    next: int
    total: int


class Tuning:
    """Searching for settings."""

    def __init__(
        self, *, guard: Guard, keyring: Keyring, runs: Runs, datasets: Datasets, clock: Clock, scripts: Scripts
    ) -> None:
        self._guard = guard
        self._keyring = keyring
        self._runs = runs
        self._clock = clock
        self._scripts = scripts
        self.datasets = datasets
        """Where the runs of this noun read from."""
        self._replays: OrderedDict[str, Replay] = OrderedDict()
        self._replaying = threading.RLock()

    # For people

    def tune(self, actor: Actor, *, request: TuneRequest) -> Run:
        """Submit the run that searches for the best settings of a model and trains its next version with them.

        A study of the same name that has searched for the same goes on where it is.

        Raises:
            InvalidInput: if the request does not fit itself, the dataset's columns or the project's quota.
            NotFound: if there is no such dataset version.
            Forbidden: if the actor may not tune, or may not read the target or a named feature.
            Conflict: if the study of that name has searched for something else, or is searched now.
        """
        train, project = request.train, request.train.project
        target = f"model:{train.name[:64]}"
        self._guard.require(actor, "models.tune", project=project, target=target)
        check_tuning(request)
        version = self.datasets.get(actor, train.dataset, project=project).version
        schema = self.datasets.open(actor, train.dataset, project=project).schema
        check_target(schema, train.target)
        choose_columns(schema, train.target, train.features)
        each = TRIAL if train.resources == ONE_CPU else train.resources
        check_room(self._runs.quota(actor, project=project), each.times(train.workers))
        exact = str(Ref(version.name, version.version))
        with self._guard.allow(actor, "models.tune", project=project, target=target) as tx:
            found = [one for row, studies in self._read_all(tx, project) for one in studies if row.name == one.name]
        for known in found:
            if known.name == request.study_name:
                check_same(known.name, known.about, about_of(request, exact))
                if known.run_id and not self._runs.get(actor, known.run_id).state.has_ended:
                    raise Conflict(
                        f"Run {known.run_id} searches the study {known.name!r} now. Wait for it, or cancel it."
                    )
        submission = Submission(
            Command(OURS["models.tune"], resources=Resources(SHARE)),
            name=request.study_name,
            params={"study": request.study_name, "model": train.name, "trials": request.trials},
            scheduling=Scheduling(retries=ATTEMPTS),
            inputs=(f"dataset:{exact}",),
        )
        return self._scripts.submit(actor, submission, [folder_of(plan_of(request, exact))], project=project)

    def studies(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> builtins.list[Study]:
        """Return the studies of a project, those of the newest journals first."""
        with self._guard.allow(actor, "models.list", project=project, target="studies") as tx:
            return [study for _, studies in self._read_all(tx, project) for study in studies]

    def study(self, actor: Actor, name: str, *, project: str = DEFAULT_PROJECT) -> Study:
        """Return a study; of several with one name, the one of the journal of that name, or else the newest.

        Raises:
            NotFound: if there is none.
        """
        with self._guard.allow(actor, "models.get", project=project, target="study") as tx:
            return _named(self._read_all(tx, project), name, project)[1]

    def forget(self, actor: Actor, name: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Delete a study with all its trials for good; the runs that it tried, and its model, stay.

        A journal in which it was alone is destroyed with its key. In one with others a note says that it is deleted, as
        Optuna writes it.

        Raises:
            NotFound: if there is none.
        """
        with self._guard.allow(actor, "models.delete", project=project, target="study") as tx:
            found = self._read_all(tx, project)
            row, study = _named(found, name, project)
            studies = next(studies for journal, studies in found if journal.id == row.id)
            if len(studies) > 1:
                number = self._replay(tx, row).id_of(study.name)
                entry = json.dumps({"op_code": DELETE_STUDY, "worker_id": "", "study_id": number})
                self._append(tx, actor, row.name, new_id(), [entry], project)
                return
            study_rows.remove(tx, row)
        self._replays.pop(row.id, None)
        self._keyring.shred(project, _scope(row.id))

    # For the worker of a trial

    def end_trial(self, actor: Actor, run: Run) -> None:
        """End a run well that has only tried something."""
        with self._guard.allow(actor, "models.train", project=run.project, target=f"run:{run.id}") as tx:
            self._runs.succeed(tx, run.id, [])

    # For Optuna

    def append_journal(
        self, actor: Actor, name: str, batch: str, entries: Sequence[str], *, after: int, project: str = DEFAULT_PROJECT
    ) -> JournalPage:
        """Write entries behind all others, in one step, and return those from a number on, the new ones among them.

        Args:
            actor: Who asks.
            name: Of the journal, which is made if there is none.
            batch: What the caller calls these entries; the second time they come under one name, nothing is written.
            entries: JSON objects as Optuna writes them.
            after: Number of the first entry to return.
            project: Where.

        Raises:
            InvalidInput: if a name or an entry cannot be one.
        """
        check_name(name, "journal")
        _check_entries(batch, entries)
        with self._guard.allow(actor, "models.tune", project=project, target=f"journal:{name}") as tx:
            row = self._append(tx, actor, name, batch, entries, project)
            return self._page(tx, row, after)

    def read_journal(self, actor: Actor, name: str, *, after: int = 0, project: str = DEFAULT_PROJECT) -> JournalPage:
        """Return the entries from a number on, as many as fit into one answer; none of a journal that is not there."""
        check_name(name, "journal")
        with self._guard.allow(actor, "models.get", project=project, target=f"journal:{name}") as tx:
            row = study_rows.find(tx, project, name)
            return JournalPage((), 0, 0) if row is None else self._page(tx, row, after)

    def _append(
        self, tx: sa.Connection, actor: Actor, name: str, batch: str, entries: Sequence[str], project: str
    ) -> JournalRow:
        row = study_rows.find(tx, project, name, lock=True)
        if row is None:
            made = JournalRow(project, name, new_id(), self._clock(), actor.name, 0)
            if study_rows.add(tx, made):
                self._keyring.create(project, _scope(made.id))
            row = study_rows.find(tx, project, name, lock=True)
            assert row is not None  # ours, or that of whoever came first
        if study_rows.has(tx, row.id, batch):
            return row
        sealed = self._seal(row).close(_place(row.entries), json.dumps(list(entries)))
        study_rows.append(tx, row, BatchRow(row.entries, len(entries), batch, sealed))
        return replace(row, entries=row.entries + len(entries))

    def _page(self, tx: sa.Connection, row: JournalRow, after: int) -> JournalPage:
        found = self._entries(tx, row, max(0, after))
        return JournalPage(tuple(found), max(0, after) + len(found), row.entries)

    def _entries(self, tx: sa.Connection, row: JournalRow, after: int) -> builtins.list[str]:
        found: builtins.list[str] = []
        for batch in study_rows.batches(tx, row.id, after, limit=_AT_A_TIME):
            entries = json.loads(self._seal(row).open(_place(batch.first), batch.sealed))
            found += entries[max(0, after - batch.first) :]
        return found

    def _read_all(self, tx: sa.Connection, project: str) -> builtins.list[tuple[JournalRow, builtins.list[Study]]]:
        with self._replaying:
            return [(row, self._replay(tx, row).studies(row.name)) for row in study_rows.journals(tx, project)]

    def _replay(self, tx: sa.Connection, row: JournalRow) -> Replay:
        """Return a journal as it stands; what was read before is not read again."""
        with self._replaying:
            replay = self._replays.setdefault(row.id, Replay())
            self._replays.move_to_end(row.id)
            while replay.read < row.entries and (entries := self._entries(tx, row, replay.read)):
                replay.apply(entries)
            while len(self._replays) > _KEPT:
                self._replays.popitem(last=False)
            return replay

    def _seal(self, row: JournalRow) -> Seal:
        return Seal(self._keyring, row.project, _scope(row.id))


def _scope(journal_id: str) -> str:
    return f"study/{journal_id}"


def _place(first: int) -> str:
    return f"entries/{first}"


def _named(
    found: builtins.list[tuple[JournalRow, builtins.list[Study]]], name: str, project: str
) -> tuple[JournalRow, Study]:
    all_named = [(row, study) for row, studies in found for study in studies if study.name == name]
    if not all_named:
        raise NotFound(f"There is no study {name[:80]!r} in project {project!r}. See: lepton models studies")
    return next(((row, study) for row, study in all_named if row.name == name), all_named[0])


def _check_entries(batch: str, entries: Sequence[str]) -> None:
    if not 1 <= len(batch) <= 64:
        raise InvalidInput("The name of a batch has 1 to 64 characters. Take a UUID.")
    if not 1 <= len(entries) <= MOST_ENTRIES:
        raise InvalidInput(f"A batch has 1 to {MOST_ENTRIES:,} entries, not {len(entries):,}. Send them in parts.")
    for entry in entries:
        try:
            whole = len(entry) <= LONGEST_ENTRY and isinstance(json.loads(entry), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise InvalidInput(
                f"An entry is a JSON object of {LONGEST_ENTRY:,} characters at most, as Optuna's JournalStorage writes "
                "it. Write to the journal with Optuna: lepton.optuna_storage()"
            )
