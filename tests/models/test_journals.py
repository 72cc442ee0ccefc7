"""Journals on both catalogs: sealed, in order, each batch once, whoever writes at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from models.workshop import EDITOR, Workshop

from lepton.access.records import Actor, Role
from lepton.core.errors import Forbidden, InvalidInput, NotFound
from lepton.models import study_rows

VIEWER = Actor("vera-id", "vera", {"default": Role.VIEWER})


def an_entry(number: int) -> str:
    return json.dumps({"op_code": 0, "worker_id": "w", "study_name": f"canary-{number}", "directions": [1]})


def test_entries_keep_their_order_and_a_batch_is_written_once(workshop: Workshop) -> None:
    models = workshop.models
    assert models.read_journal(EDITOR, "j").total == 0
    first = models.append_journal(EDITOR, "j", "a", [an_entry(0), an_entry(1)], after=0)
    assert (first.next, first.total) == (2, 2)
    second = models.append_journal(EDITOR, "j", "b", [an_entry(2)], after=2)
    assert (second.entries, second.next) == ((an_entry(2),), 3)
    again = models.append_journal(EDITOR, "j", "a", [an_entry(0), an_entry(1)], after=1)
    assert (again.entries, again.total) == ((an_entry(1), an_entry(2)), 3), "the answer is what is new to the caller"
    assert models.read_journal(VIEWER, "j", after=1).entries == (an_entry(1), an_entry(2))
    assert [study.name for study in models.studies(VIEWER)] == ["canary-0", "canary-1", "canary-2"]
    with pytest.raises(Forbidden):
        models.append_journal(VIEWER, "j", "c", [an_entry(3)], after=0)


def test_many_who_write_at_once_lose_nothing_and_write_nothing_twice(workshop: Workshop) -> None:
    def write(number: int) -> int:
        for _ in range(2):  # as whoever has lost the answer
            page = workshop.models.append_journal(EDITOR, "j", f"batch {number}", [an_entry(number)], after=0)
        return page.total

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(write, range(12))) == 12
    entries = workshop.models.read_journal(EDITOR, "j").entries
    assert sorted(entries) == sorted(map(an_entry, range(12)))


def test_what_is_in_a_journal_is_sealed_and_gone_when_it_is_forgotten(workshop: Workshop) -> None:
    workshop.models.append_journal(EDITOR, "j", "a", [an_entry(7)], after=0)
    with workshop.database.read() as tx:
        (row,) = study_rows.journals(tx, "default")
        (sealed,) = tx.execute(sa.select(study_rows.study_entries.c.sealed)).scalars()
    assert b"canary" not in sealed
    assert ("default", f"study/{row.id}") in workshop.keyring.scopes("study")
    workshop.models.forget(EDITOR, "canary-7")
    assert workshop.keyring.scopes("study") == []
    with workshop.database.read() as tx:
        assert tx.execute(sa.select(study_rows.study_entries)).all() == []
    with pytest.raises(NotFound):
        workshop.models.study(EDITOR, "canary-7")


def test_a_project_sees_its_own_journals(workshop: Workshop) -> None:
    workshop.models.append_journal(EDITOR, "j", "a", [an_entry(7)], after=0)
    other = Actor("o-id", "o", {"other": Role.OWNER})
    assert workshop.models.studies(other, project="other") == []
    assert workshop.models.read_journal(other, "j", project="other").total == 0
    with pytest.raises(NotFound):
        workshop.models.studies(other)


def test_an_empty_batch_and_a_name_that_is_none_are_refused(workshop: Workshop) -> None:
    for name, batch, entries in (("j", "", [an_entry(0)]), ("j", "b", []), ("No Name", "b", [an_entry(0)])):
        with pytest.raises(InvalidInput):
            workshop.models.append_journal(EDITOR, name, batch, entries, after=0)
