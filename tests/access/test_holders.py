"""What replicas are told of tokens agrees with what the guard would say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lepton.access.actions import holds
from lepton.access.operations import Access
from lepton.access.records import Actor, Role
from lepton.access.secrets import digest


@pytest.mark.parametrize("action", ["endpoints.predict", "runs.list"])
def test_the_holders_of_a_project_are_those_the_guard_would_let_in(access: Access, action: str) -> None:
    access.create_project(access.authenticate(access.mint_local_token()), "lab")
    secrets = [access.mint_local_token()]
    owner = access.authenticate(secrets[0])
    for project in ("default", "lab"):
        for role in Role:
            _, code = access.create_user(owner, f"{role}-{project}", role, project=project)
            actor = access.sign_in(code.code).actor
            secrets.append(access.create_token(actor, "all")[1])
            secrets.append(access.create_token(actor, "own", scopes=["tokens.list"])[1])
            if holds(actor, action, project):
                secrets.append(access.create_token(actor, "scoped", scopes=[action])[1])
    for project in ("default", "lab"):
        told = {holder.digest: holder.may for holder in access.holders(action, project=project)}
        actors = {digest(secret): access.authenticate(secret) for secret in secrets}
        assert told == {
            key: holds(actor, action, project) for key, actor in actors.items() if project in actor.roles
        }  # fmt: skip


def test_a_change_of_tokens_or_roles_is_told(access: Access, owner: Actor, join: Callable[..., Actor]) -> None:
    told: list[str] = []
    access.changed = lambda: told.append("changed")
    token, _ = access.create_token(owner, "laptop")
    join("ana", Role.VIEWER)
    access.update_user(owner, "ana", role=Role.EDITOR)
    access.delete_token(owner, token.id)
    access.delete_user(owner, "ana")
    assert len(told) == 4
