"""A platform with people in it, and the real app over it, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lepton.access.records import Actor, Role
from lepton.core.settings import Settings
from lepton.platform import Platform
from lepton.server import create_app
from lepton.store.database import metadata


@pytest.fixture
def platform(settings: Settings, clock: Any) -> Iterator[Platform]:
    platform = Platform(settings, clock=clock)
    with platform.database.begin() as tx:
        metadata.create_all(tx)
    platform.access.bootstrap()
    yield platform
    platform.close()


@pytest.fixture
def app(platform: Platform) -> FastAPI:
    return create_app(platform)


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://localhost:7070") as client:
        yield client


@pytest.fixture
def owner_actor(platform: Platform) -> Actor:
    return platform.access.authenticate(platform.access.mint_local_token())


@pytest.fixture
def token_of(platform: Platform, owner_actor: Actor) -> Callable[..., str]:
    """Make a user with a role, and a token of it."""

    def token_of(role: Role, **limits: Any) -> str:
        if role is Role.OWNER:
            return platform.access.create_token(owner_actor, "test", **limits)[1]
        _, code = platform.access.create_user(owner_actor, f"the-{role}", role)
        return platform.access.create_token(platform.access.sign_in(code.code).actor, "test", **limits)[1]

    return token_of


@pytest.fixture
def client_of(app: FastAPI, token_of: Callable[..., str]) -> Iterator[Callable[..., TestClient]]:
    """Make a client with a token of a role."""
    opened = []

    def client_of(role: Role, **limits: Any) -> TestClient:
        headers = {"Authorization": f"Bearer {token_of(role, **limits)}"}
        opened.append(TestClient(app, base_url="http://localhost:7070", headers=headers))
        return opened[-1]

    yield client_of
    for client in opened:
        client.close()


@pytest.fixture
def owner(client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(Role.OWNER)
