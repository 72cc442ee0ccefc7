"""A catalog with the tables of access, and people in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lepton.access import audit, rows
from lepton.access.guard import Guard
from lepton.access.operations import Access
from lepton.access.records import Actor, Role
from lepton.core.settings import Settings
from lepton.store.database import Database, metadata

TABLES = [
    rows.users,
    rows.projects,
    rows.memberships,
    rows.tokens,
    rows.sessions,
    rows.sign_in_codes,
    audit.audit,
]


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.catalog_url)
    with database.begin() as tx:
        metadata.create_all(tx, tables=TABLES)
    yield database
    database.close()


@pytest.fixture
def guard(database: Database, clock: Any) -> Guard:
    return Guard(database, clock)


@pytest.fixture
def access(database: Database, guard: Guard, clock: Any) -> Access:
    access = Access(database=database, guard=guard, clock=clock)
    access.bootstrap()
    return access


@pytest.fixture
def owner(access: Access) -> Actor:
    return access.authenticate(access.mint_local_token())


@pytest.fixture
def join(access: Access, owner: Actor) -> Callable[..., Actor]:
    """Make a user with a role and sign it in."""

    def join(name: str, role: Role, project: str = "default") -> Actor:
        _, code = access.create_user(owner, name, role, project=project)
        return access.sign_in(code.code).actor

    return join
