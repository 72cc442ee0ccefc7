"""The guard: permission check and audit line in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from lepton.access import audit, rows
from lepton.access.actions import ACTIONS, holds
from lepton.access.guard import Guard
from lepton.access.records import Actor, Project, Role
from lepton.core.errors import Forbidden, InvalidInput, NotFound, StorageFull
from lepton.store.database import Database


def an_actor(role: Role = Role.EDITOR, **fields: Any) -> Actor:
    return Actor("U" * 26, "ana", {"default": role}, **fields)


def lines(database: Database, project: str = "default") -> list[tuple[str, str, str, str, str]]:
    with database.read() as tx:
        return [(e.actor, e.action, e.target, e.outcome, e.code) for e in audit.latest(tx, project, 100)]


def a_project(tx: sa.Connection, clock: Any) -> None:
    rows.add_project(tx, Project("made", clock(), "ana"))


def project_names(database: Database) -> list[str]:
    with database.read() as tx:
        return [project.name for project in rows.list_projects(tx)]


def test_an_allowed_action_commits_its_change_and_its_audit_line(guard: Guard, database: Database, clock: Any) -> None:
    with guard.allow(an_actor(), "datasets.delete", target="cancer") as tx:
        a_project(tx, clock)
    assert project_names(database) == ["made"]
    assert lines(database) == [("ana", "datasets.delete", "cancer", "allowed", "")]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_each_role_passes_for_exactly_its_row(role: Role, action: str, clock: Any) -> None:
    guard = Guard(FakeDatabase(), clock)  # type: ignore[arg-type]
    actor = an_actor(role)
    assert guard.may(actor, action) is (role in ACTIONS[action])
    if role in ACTIONS[action]:
        with guard.allow(actor, action):
            pass
    else:
        with pytest.raises(Forbidden, match=r"Your role in project 'default' is .* needs one of: .*owner"):
            guard.allow(actor, action).__enter__()


def test_a_refused_action_is_written_down_and_its_body_never_runs(guard: Guard, database: Database) -> None:
    with pytest.raises(Forbidden), guard.allow(an_actor(Role.VIEWER), "datasets.delete", target="cancer"):
        pytest.fail("the body ran")
    assert lines(database) == [("ana", "datasets.delete", "cancer", "denied", "forbidden")]


def test_a_project_one_is_not_in_looks_like_one_that_does_not_exist(guard: Guard, database: Database) -> None:
    messages = []
    for actor in (an_actor(), an_actor(is_admin=True)):
        with pytest.raises(NotFound) as caught, guard.allow(actor, "datasets.list", project="other"):
            pytest.fail("the body ran")
        messages.append(caught.value.message)
    assert len(set(messages)) == 1
    assert lines(database, "other") == [("ana", "datasets.list", "", "denied", "not_found")] * 2


def test_a_scoped_token_is_refused_what_its_role_would_hold(guard: Guard, database: Database) -> None:
    actor = an_actor(Role.OWNER, scopes=frozenset({"datasets.list"}))
    with guard.allow(actor, "datasets.list"):
        pass
    with pytest.raises(Forbidden, match=r"lepton tokens create --scope datasets\.delete"):
        guard.allow(actor, "datasets.delete").__enter__()
    assert [line[3] for line in lines(database)] == ["denied", "allowed"]


def test_a_scope_does_not_widen_a_role(guard: Guard) -> None:
    actor = an_actor(Role.VIEWER, scopes=frozenset({"datasets.delete"}))
    assert not guard.may(actor, "datasets.delete")
    with pytest.raises(Forbidden, match="Your role"):
        guard.allow(actor, "datasets.delete").__enter__()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("Column 'x' is not there."), "invalid_input"),
        (StorageFull("No space."), "storage_full"),
        (ZeroDivisionError("secret-canary"), "internal"),
    ],
)
def test_a_failing_body_is_rolled_back_and_only_its_code_is_written_down(
    guard: Guard, database: Database, clock: Any, error: Exception, code: str
) -> None:
    def fail() -> None:
        with guard.allow(an_actor(), "datasets.clean", target="cancer@1") as tx:
            a_project(tx, clock)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert project_names(database) == []
    assert lines(database) == [("ana", "datasets.clean", "cancer@1", "failed", code)]


def test_a_change_whose_audit_line_cannot_be_written_does_not_happen(
    guard: Guard, database: Database, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise StorageFull("No space.")

    monkeypatch.setattr(audit, "line", no_space)
    with pytest.raises(StorageFull), guard.allow(an_actor(), "datasets.delete") as tx:
        a_project(tx, clock)
    assert project_names(database) == []


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_operation_writes_its_line_every_time(guard: Guard, database: Database, action: str) -> None:
    for _ in range(3):
        with guard.allow(an_actor(Role.CALLER if action == "endpoints.predict" else Role.OWNER), action, target="x"):
            pass
    assert [line[1:4] for line in lines(database)] == [(action, "x", "allowed")] * 3


def test_a_long_target_is_cut_rather_than_refused(guard: Guard, database: Database) -> None:
    with guard.allow(an_actor(), "datasets.import", target="x" * 1000):
        pass
    assert len(lines(database)[0][2]) == 200


def test_may_agrees_with_the_table(guard: Guard) -> None:
    actor = an_actor(Role.STEWARD)
    assert [a for a in ACTIONS if guard.may(actor, a)] == [a for a in ACTIONS if holds(actor, a, "default")]


@pytest.mark.parametrize(
    ("role", "readable"),
    [
        (Role.OWNER, {"plain", "personal", "secret"}),
        (Role.STEWARD, {"plain", "personal"}),
        (Role.EDITOR, {"plain"}),
        (Role.VIEWER, {"plain"}),
    ],
)
def test_who_sees_the_values_of_which_columns(guard: Guard, role: Role, readable: set[str]) -> None:
    assert guard.readable(an_actor(role)) == readable
    assert guard.readable(an_actor(role, scopes=frozenset({"datasets.rows"}))) == {"plain"}


class FakeDatabase:
    """A database that forgets: for walking the whole table quickly."""

    def begin(self) -> FakeDatabase:
        return self

    def __enter__(self) -> FakeDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, _statement: object, _values: object = None) -> None:
        return None
