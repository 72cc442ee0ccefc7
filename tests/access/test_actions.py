"""The table of actions and roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.access.actions import ACTIONS, LOOKING_ACTIONS, RUN_ACTIONS, held_actions, holds
from lepton.access.records import Actor, Role

CONTRACT = """
datasets.{list,get,import,profile,rows,clean,split,export,delete,read_personal,read_secret} labels.{list}
runs.{list,get,logs,artifacts,queue,quota,schedules,submit,create,track,cancel,retry,schedule,unschedule,limit}
models.{list,get,train,tune,register,evaluate,predict,export,delete}
endpoints.{list,get,logs,deploy,rollback,predict,delete} projects.{list,create} users.{list,create,update,delete}
tokens.{list,create,delete} audit.{list}
"""


def an_actor(role: Role, scopes: frozenset[str] | None = None) -> Actor:
    return Actor("U", "u", {"default": role}, scopes=scopes)


def test_the_table_holds_every_action_there_is_and_no_other() -> None:
    expected = set()
    for group in CONTRACT.split():
        noun, verbs = group.split(".")
        expected |= {f"{noun}.{verb}" for verb in verbs.strip("{}").split(",")}
    assert set(ACTIONS) == expected


def test_an_owner_holds_every_action() -> None:
    assert all(Role.OWNER in roles for roles in ACTIONS.values())


def test_only_owners_read_secret_columns() -> None:
    assert ACTIONS["datasets.read_secret"] == {Role.OWNER}


def test_a_steward_is_an_editor_who_may_read_personal_columns_and_see_the_members() -> None:
    gained = set(held_actions(an_actor(Role.STEWARD), "default")) - set(held_actions(an_actor(Role.EDITOR), "default"))
    assert gained == {"datasets.read_personal", "models.register", "users.list"}


def test_a_viewer_changes_nothing() -> None:
    verbs = {a.split(".")[1] for a in held_actions(an_actor(Role.VIEWER), "default") if not a.startswith("tokens.")}
    assert verbs == {"list", "get", "profile", "rows", "logs", "artifacts", "queue", "quota", "schedules"}


def test_a_caller_only_predicts_beside_looking_after_its_own_tokens() -> None:
    held = {action for action in held_actions(an_actor(Role.CALLER), "default") if not action.startswith("tokens.")}
    assert held == {"endpoints.predict", "projects.list"}


def test_who_is_in_no_project_holds_nothing() -> None:
    assert held_actions(Actor("U", "u", {}), "default") == []
    assert held_actions(an_actor(Role.OWNER), "elsewhere") == []


@given(role=st.sampled_from(Role), scopes=st.frozensets(st.sampled_from(sorted(ACTIONS))))
def test_scopes_only_ever_narrow_a_role(role: Role, scopes: frozenset[str]) -> None:
    held = set(held_actions(an_actor(role, scopes), "default"))
    assert held == scopes & set(held_actions(an_actor(role), "default"))


def test_code_in_a_run_can_be_allowed_data_but_never_people_or_credentials() -> None:
    assert not {a for a in RUN_ACTIONS if a.split(".")[0] in {"users", "tokens", "projects", "audit"}}
    assert {"datasets.get", "models.train", "datasets.read_personal"} <= RUN_ACTIONS
    assert "runs.limit" not in RUN_ACTIONS, "a run must not raise its own quota"


def test_an_unknown_action_is_a_mistake_of_the_program_not_a_permission() -> None:
    with pytest.raises(KeyError):
        holds(an_actor(Role.OWNER), "datasets.explode", "default")


def test_what_looks_and_what_changes_is_one_rule_over_the_table() -> None:
    assert {action for action in ACTIONS if action not in LOOKING_ACTIONS} == {
        "datasets.import", "datasets.clean", "datasets.split", "datasets.delete",
        "runs.submit", "runs.create", "runs.track", "runs.cancel", "runs.retry", "runs.schedule", "runs.unschedule",
        "runs.limit",
        "models.train", "models.tune", "models.register", "models.evaluate", "models.delete",
        "endpoints.deploy", "endpoints.rollback", "endpoints.delete",
        "tokens.create", "tokens.delete", "users.create", "users.update", "users.delete", "projects.create",
    }  # fmt: skip
