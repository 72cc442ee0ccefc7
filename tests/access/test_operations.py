"""Coming in, tokens, projects and people."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from lepton.access import rows
from lepton.access.actions import RUN_ACTIONS
from lepton.access.operations import Access
from lepton.access.records import Actor, AuditFilter, Role
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from lepton.store.database import Database

Join = Callable[..., Actor]


# Coming in


def test_the_first_start_makes_one_owner_and_later_starts_no_more(access: Access, owner: Actor) -> None:
    assert access.bootstrap().name == "owner"
    access.bootstrap()
    assert [(user.name, user.role) for user in access.list_users(owner)] == [("owner", Role.OWNER)]
    assert owner.is_admin
    assert owner.roles == {"default": Role.OWNER}


def test_each_start_replaces_the_local_token_of_the_one_before(access: Access, owner: Actor) -> None:
    own, secret = access.create_token(owner, "mine")
    first, second = access.mint_local_token(), access.mint_local_token()
    assert access.authenticate(second).name == "owner"
    assert access.authenticate(secret).name == "owner"
    with pytest.raises(Unauthenticated, match="unknown or was deleted"):
        access.authenticate(first)
    assert own.name == "mine"


@pytest.mark.parametrize("secret", ["", "lpt_", "lpt_nonsense", "Bearer", "lps_x", "x" * 10_000, "lpt_\udc80é中"])
def test_an_unknown_token_is_refused_without_being_quoted(access: Access, secret: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        access.authenticate(secret)
    assert "nonsense" not in caught.value.message
    with pytest.raises(Unauthenticated):
        access.session(secret)
    with pytest.raises(Unauthenticated):
        access.sign_in(secret)


def test_an_expired_token_says_when_it_expired_and_how_to_get_another(access: Access, owner: Actor, clock: Any) -> None:
    _, secret = access.create_token(owner, "brief", expires_in_s=86_400)
    assert access.authenticate(secret).name == "owner"
    clock.advance(days=1)
    with pytest.raises(Unauthenticated) as caught:
        access.authenticate(secret)
    assert caught.value.message == ("This token expired on 2026-01-02. Make a new one with: lepton tokens create")


def test_a_token_remembers_when_it_was_last_used_to_the_minute(access: Access, owner: Actor, clock: Any) -> None:
    token, secret = access.create_token(owner, "mine")

    def last_used() -> object:
        return next(t for t in access.list_tokens(owner) if t.id == token.id).last_used_at

    assert last_used() is None
    access.authenticate(secret)
    first = last_used()
    assert first == clock()
    clock.advance(seconds=59)
    access.authenticate(secret)
    assert last_used() == first
    clock.advance(seconds=1)
    access.authenticate(secret)
    assert last_used() == clock()


def test_a_sign_in_link_works_once(access: Access, owner: Actor) -> None:
    link = access.create_sign_in_link(owner)
    session = access.sign_in(link.code)
    assert access.session(session.secret) == session.actor
    assert session.actor.via == "session"
    with pytest.raises(Unauthenticated, match="used already"):
        access.sign_in(link.code)


def test_a_sign_in_link_is_good_for_an_hour(access: Access, owner: Actor, clock: Any) -> None:
    link = access.create_sign_in_link(owner)
    clock.advance(hours=1)
    with pytest.raises(Unauthenticated, match="over an hour old"):
        access.sign_in(link.code)


def test_of_many_who_use_one_link_at_once_exactly_one_gets_in(access: Access, owner: Actor) -> None:
    link = access.create_sign_in_link(owner)
    start = threading.Barrier(8)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            access.sign_in(link.code)
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_session_ends_after_a_week_or_when_signing_out(access: Access, owner: Actor, clock: Any) -> None:
    first = access.sign_in(access.create_sign_in_link(owner).code)
    second = access.sign_in(access.create_sign_in_link(owner).code)
    access.sign_out(first.secret)
    with pytest.raises(Unauthenticated, match="Sign in again"):
        access.session(first.secret)
    assert access.session(second.secret).name == "owner"
    clock.advance(days=7)
    with pytest.raises(Unauthenticated, match="Sign in again"):
        access.session(second.secret)


def test_a_password_signs_in_and_a_wrong_one_does_not(access: Access, owner: Actor) -> None:
    access.create_user(owner, "ana", Role.VIEWER, password="correct horse")
    assert access.sign_in_with_password("ana", "correct horse").actor.roles == {"default": Role.VIEWER}
    messages = []
    for name, password in (("ana", "wrong horse"), ("nobody", "correct horse"), ("owner", "correct horse")):
        with pytest.raises(Unauthenticated) as caught:
            access.sign_in_with_password(name, password)
        messages.append(caught.value.message)
    assert len(set(messages)) == 1, "the answer tells which names exist"


def test_guessing_a_password_is_locked_out_and_says_for_how_long(access: Access, owner: Actor, clock: Any) -> None:
    access.create_user(owner, "ana", Role.VIEWER, password="correct horse")
    for name in ("ana", "nobody"):
        for _ in range(5):
            with pytest.raises(Unauthenticated, match="do not belong together"):
                access.sign_in_with_password(name, "wrong horse")
        with pytest.raises(Unauthenticated, match="Wait 2 seconds"):
            access.sign_in_with_password(name, "correct horse")
    clock.advance(seconds=1)
    assert access.sign_in_with_password("ana", "correct horse").actor.name == "ana"


def test_signing_in_is_audited_without_what_was_typed(access: Access, owner: Actor) -> None:
    access.create_user(owner, "ana", Role.VIEWER, password="correct horse")
    access.sign_in_with_password("ana", "correct horse")
    with pytest.raises(Unauthenticated):
        access.sign_in_with_password("hunter2-typed-in-the-wrong-field", "x")
    with pytest.raises(Unauthenticated):
        access.sign_in("lpc_unknown")
    entries = [e for e in access.list_audit(owner) if e.action == "sign_in"]
    assert [(e.actor, e.outcome) for e in entries] == [("", "denied"), ("", "denied"), ("ana", "allowed")]
    assert "hunter2" not in repr(access.list_audit(owner))


def test_no_secret_is_kept_in_the_catalog(access: Access, owner: Actor, database: Database) -> None:
    _, secret = access.create_token(owner, "mine")
    link = access.create_sign_in_link(owner)
    spent = access.create_sign_in_link(owner)
    session = access.sign_in(spent.code)
    access.create_user(owner, "ana", Role.VIEWER, password="correct horse")
    kept = ""
    with database.read() as tx:
        for table in (rows.users, rows.tokens, rows.sessions, rows.sign_in_codes):
            kept += repr(tx.execute(table.select()).all())
    for planted in (secret, link.code, spent.code, session.secret, "correct horse"):
        assert planted not in kept
        assert planted[4:] not in kept
    assert secret[:10] in kept, "the prefix is for display"


# Tokens


def test_a_token_is_at_most_what_its_maker_is(access: Access, owner: Actor, clock: Any) -> None:
    _, secret = access.create_token(owner, "robot", scopes=["tokens.create", "datasets.list"], expires_in_s=3600)
    robot = access.authenticate(secret)
    assert robot.scopes == {"tokens.create", "datasets.list"}

    made, _ = access.create_token(robot, "child")
    assert made.scopes == ("datasets.list", "tokens.create")
    longer, _ = access.create_token(robot, "child", scopes=["datasets.list"], expires_in_s=99_999)
    assert made.expires_at == longer.expires_at == robot.expires_at
    with pytest.raises(Forbidden, match=r"not good for datasets\.delete"):
        access.create_token(robot, "child", scopes=["datasets.delete"])

    session = access.sign_in(access.create_sign_in_link(robot).code)
    assert session.actor.scopes == robot.scopes
    assert session.expires_at == robot.expires_at
    from_session, _ = access.create_token(session.actor, "grandchild")
    assert (from_session.scopes, from_session.expires_at) == (made.scopes, made.expires_at)


def test_a_token_made_in_an_ordinary_session_outlives_it(access: Access, owner: Actor) -> None:
    session = access.sign_in(access.create_sign_in_link(owner).code)
    token, _ = access.create_token(session.actor, "mine")
    assert token.expires_at is None
    assert token.scopes is None


@pytest.mark.parametrize(
    ("scopes", "expires_in_s", "message"),
    [
        (["datasets.explode"], None, "'datasets.explode' is not an action"),
        ([], None, "without any scope"),
        (None, 0, "from 1 second to"),
        (None, -5, "from 1 second to"),
        (None, 10**12, "from 1 second to"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    access: Access, owner: Actor, scopes: list[str] | None, expires_in_s: int | None, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        access.create_token(owner, "mine", scopes=scopes, expires_in_s=expires_in_s)


def test_people_see_and_delete_their_own_tokens_and_a_platform_owner_everybodys(
    access: Access, owner: Actor, join: Join
) -> None:
    ana, bo = join("ana", Role.EDITOR), join("bo", Role.VIEWER)
    anas, secret = access.create_token(ana, "laptop")
    bos, _ = access.create_token(bo, "laptop")
    assert [t.id for t in access.list_tokens(ana)] == [anas.id]
    assert {anas.id, bos.id} <= {t.id for t in access.list_tokens(owner)}
    with pytest.raises(NotFound):
        access.delete_token(bo, anas.id)
    assert access.authenticate(secret).name == "ana"
    access.delete_token(owner, anas.id)
    with pytest.raises(Unauthenticated, match="unknown or was deleted"):
        access.authenticate(secret)
    with pytest.raises(NotFound):
        access.delete_token(owner, anas.id)


# People and projects


def test_a_platform_owner_is_an_owner_of_every_project(access: Access, owner: Actor) -> None:
    access.create_project(owner, "lab")
    again = access.authenticate(access.mint_local_token())
    assert again.roles == {"default": Role.OWNER, "lab": Role.OWNER}
    _, code = access.create_user(again, "bo", Role.OWNER, project="lab")
    member = access.sign_in(code.code).actor
    assert member.roles == {"lab": Role.OWNER}
    assert not member.is_admin


def test_people_see_the_projects_they_are_in(access: Access, owner: Actor, lab: Actor) -> None:
    assert [p.name for p in access.list_projects(lab)] == ["lab"]
    assert [p.name for p in access.list_projects(access.authenticate(access.mint_local_token()))] == ["default", "lab"]
    assert [p.name for p in access.list_projects(owner)] == ["default"], "this actor was known before lab was"


def test_an_owner_of_one_project_makes_no_projects_and_no_users_elsewhere(
    access: Access, owner: Actor, lab: Actor
) -> None:
    with pytest.raises(NotFound):
        access.create_project(lab, "mine")
    with pytest.raises(NotFound):
        access.create_user(lab, "bo", Role.OWNER, project="default")
    user, _ = access.create_user(lab, "bo", Role.EDITOR, project="lab")
    assert (user.project, user.role) == ("lab", Role.EDITOR)


@pytest.fixture
def lab(access: Access, owner: Actor) -> Actor:
    """An owner of project lab, and of nothing else."""
    access.create_project(owner, "lab")
    owner = access.authenticate(access.mint_local_token())
    _, code = access.create_user(owner, "lena", Role.OWNER, project="lab")
    return access.sign_in(code.code).actor


@pytest.mark.parametrize("role", [Role.STEWARD, Role.EDITOR, Role.VIEWER, Role.CALLER])
def test_nobody_raises_their_own_role(access: Access, join: Join, role: Role) -> None:
    ana = join("ana", role)
    with pytest.raises(Forbidden):
        access.update_user(ana, "ana", role=Role.OWNER)
    with pytest.raises(Forbidden):
        access.create_user(ana, "ana2", Role.OWNER)
    with pytest.raises(NotFound):
        access.update_user(ana, "ana", role=Role.OWNER, project="lab")


def test_a_changed_role_counts_from_the_next_request_on(access: Access, owner: Actor) -> None:
    _, code = access.create_user(owner, "ana", Role.VIEWER)
    session = access.sign_in(code.code)
    access.update_user(owner, "ana", role=Role.EDITOR)
    assert access.session(session.secret).roles == {"default": Role.EDITOR}


def test_the_last_owner_is_neither_demoted_nor_deleted(access: Access, owner: Actor) -> None:
    with pytest.raises(Conflict, match="last owner of project 'default'"):
        access.update_user(owner, "owner", role=Role.VIEWER)
    with pytest.raises(Conflict, match="last owner of project 'default'"):
        access.delete_user(owner, "owner")
    access.create_user(owner, "ana", Role.OWNER)
    access.update_user(owner, "owner", role=Role.VIEWER)
    assert access.bootstrap().name == "ana"


def test_two_owners_who_demote_each_other_at_once_leave_one(access: Access, owner: Actor, join: Join) -> None:
    ana = join("ana", Role.OWNER)
    start = threading.Barrier(2)

    def demote(pair: tuple[Actor, str]) -> bool:
        start.wait()
        try:
            access.update_user(pair[0], pair[1], role=Role.VIEWER)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, [(owner, "ana"), (ana, "owner")])) == [False, True]


def test_a_removed_user_leaves_no_way_in(access: Access, owner: Actor, database: Database) -> None:
    _, code = access.create_user(owner, "ana", Role.EDITOR, password="correct horse")
    _, unused = access.create_user(owner, "bo", Role.EDITOR)
    session = access.sign_in(code.code)
    _, secret = access.create_token(session.actor, "laptop")
    for name in ("ana", "bo"):
        access.delete_user(owner, name)
    with pytest.raises(Unauthenticated):
        access.authenticate(secret)
    with pytest.raises(Unauthenticated):
        access.session(session.secret)
    with pytest.raises(Unauthenticated):
        access.sign_in(unused.code)
    with pytest.raises(Unauthenticated):
        access.sign_in_with_password("ana", "correct horse")
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(rows.sign_in_codes)).scalar_one() == 0
    with pytest.raises(NotFound, match="There is no user 'ana'"):
        access.delete_user(owner, "ana")


def test_a_project_owner_takes_somebody_out_of_the_project_only(access: Access, owner: Actor, lab: Actor) -> None:
    access.create_user(owner, "ana", Role.EDITOR)
    access.update_user(lab, "ana", role=Role.VIEWER, project="lab")
    assert {u.name for u in access.list_users(lab, project="lab")} == {"owner", "lena", "ana"}
    access.delete_user(lab, "ana", project="lab")
    assert {u.name for u in access.list_users(owner)} == {"owner", "ana"}
    with pytest.raises(NotFound):
        access.delete_user(lab, "ana", project="lab")
    access.create_user(lab, "bo", Role.VIEWER, project="lab")
    access.delete_user(lab, "bo", project="lab")
    access.create_user(owner, "bo", Role.VIEWER)


def test_a_project_owner_cannot_take_over_a_platform_owner_by_a_password(access: Access, lab: Actor) -> None:
    access.update_user(lab, "owner", role=Role.VIEWER, project="lab")
    with pytest.raises(Forbidden, match="projects that you do not own"):
        access.update_user(lab, "owner", password="correct horse", project="lab")
    with pytest.raises(Unauthenticated):
        access.sign_in_with_password("owner", "correct horse")


def test_a_new_password_ends_the_sessions_of_the_old(access: Access, owner: Actor) -> None:
    _, code = access.create_user(owner, "ana", Role.EDITOR, password="correct horse")
    sessions = [access.sign_in(code.code), access.sign_in_with_password("ana", "correct horse")]
    assert access.update_user(owner, "ana", password="battery staple").has_password
    for session in sessions:
        with pytest.raises(Unauthenticated):
            access.session(session.secret)
    assert access.sign_in_with_password("ana", "battery staple").actor.name == "ana"


def test_names_that_are_taken_or_impossible_are_refused(access: Access, owner: Actor) -> None:
    access.create_user(owner, "ana", Role.EDITOR)
    with pytest.raises(Conflict, match="user 'ana' already"):
        access.create_user(owner, "ana", Role.OWNER)
    with pytest.raises(Conflict, match="project 'default' already"):
        access.create_project(owner, "default")
    for name in ("", "Ana", "a b", "a/b", "x" * 65):
        with pytest.raises(InvalidInput):
            access.create_user(owner, name, Role.VIEWER)
        with pytest.raises(InvalidInput):
            access.create_project(owner, name)
        with pytest.raises(InvalidInput):
            access.create_token(owner, name)


def test_a_run_acts_as_its_submitter_is_now_and_never_on_people(access: Access, owner: Actor, join: Join) -> None:
    ana = join("ana", Role.OWNER)
    assert access.actor_for_run(ana.user_id, None).scopes == RUN_ACTIONS
    access.update_user(owner, "ana", role=Role.VIEWER)
    actor = access.actor_for_run(ana.user_id, frozenset({"datasets.get", "users.create"}))
    assert (actor.name, actor.via, actor.roles) == ("ana", "run", {"default": Role.VIEWER})
    assert actor.scopes == {"datasets.get"}
    with pytest.raises(Forbidden):
        access.create_token(actor, "mine")
    access.delete_user(owner, "ana")
    with pytest.raises(NotFound, match="was removed"):
        access.actor_for_run(ana.user_id, None)


def test_changing_nothing_of_a_user_says_what_can_be_changed(access: Access, owner: Actor) -> None:
    with pytest.raises(InvalidInput, match="Say what to change of the user: the role in the project, the password"):
        access.update_user(owner, "owner")


# The audit log


def test_the_audit_log_shows_the_newest_first_and_one_project_only(access: Access, owner: Actor, lab: Actor) -> None:
    access.create_user(lab, "bo", Role.VIEWER, project="lab")
    newest = access.list_audit(lab, project="lab", limit=2)
    assert [(e.action, e.target) for e in newest] == [("audit.list", ""), ("users.create", "bo")]
    assert {e.project for e in access.list_audit(owner)} == {"default"}
    with pytest.raises(NotFound):
        access.list_audit(lab)


def test_the_audit_log_is_filtered_by_actor_action_outcome_and_change(access: Access, owner: Actor) -> None:
    _, code = access.create_user(owner, "bo", Role.STEWARD)
    bo = access.sign_in(code.code).actor
    access.list_users(bo)
    with pytest.raises(Forbidden):
        access.create_user(bo, "eve", Role.OWNER)

    def found(**wanted: Any) -> list[tuple[str, str, str]]:
        lines = access.list_audit(owner, wanted=AuditFilter(**wanted))
        return [(line.actor, line.action, line.outcome) for line in lines]

    assert found(actor="bo") == [
        ("bo", "users.create", "denied"), ("bo", "users.list", "allowed"), ("bo", "sign_in", "allowed"),
    ]  # fmt: skip
    assert found(action="users.create") == [("bo", "users.create", "denied"), ("owner", "users.create", "allowed")]
    assert {action for _, action, _ in found(action="users")} == {"users.create", "users.list"}
    assert found(action="sign_in") == [("bo", "sign_in", "allowed")]
    assert found(outcome="denied") == [("bo", "users.create", "denied")]
    assert found(actor="bo", changes=True) == [("bo", "users.create", "denied"), ("bo", "sign_in", "allowed")]
    assert found(actor="b%") == found(actor="nobody") == []


@pytest.mark.parametrize("wanted", [{"action": "user"}, {"action": "users."}, {"action": "%"}, {"outcome": "fine"}])
def test_a_filter_that_can_match_nothing_says_what_can(access: Access, owner: Actor, wanted: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="There is no (action|outcome) .*(such as 'runs.cancel'|allowed, denied)"):
        access.list_audit(owner, wanted=AuditFilter(**wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_the_audit_log_is_read_in_bounded_pieces(access: Access, owner: Actor, limit: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 1000"):
        access.list_audit(owner, limit=limit)
