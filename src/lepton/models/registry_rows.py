"""The SQL of what people say about models and versions: the name they know it by, words, tags, aliases."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lepton.store.database import UtcDateTime, metadata

registered_models = sa.Table(
    "registered_models",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("title", sa.String(250), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("aliases", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Index("uq_registered_models_project_title", "project", "title", unique=True),
)

registered_versions = sa.Table(
    "registered_versions",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(26), nullable=False),
    sa.Column("path", sa.String(512), nullable=False),
    sa.Column("logged_model", sa.String(64), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class TitleRow:
    """What is said about a model.

    Attributes:
        name: What it is called in Lepton.
        title: What it is called in MLflow, where any text is a name.
        aliases: Number of a version by alias.
    """

    name: str
    title: str
    created_at: datetime
    changed_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WordsRow:
    """What is said about a version.

    Attributes:
        source: Where its files came from, in the words of who registered it.
        run_id: The run that has the files.
        path: Of their folder among the files of the run.
        logged_model: Id of MLflow's note of it, or empty.
    """

    name: str
    version: int
    changed_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    run_id: str = ""
    path: str = ""
    logged_model: str = ""


def titles(tx: sa.Connection, project: str) -> list[TitleRow]:
    """Return what is said about the models of a project."""
    found = tx.execute(sa.select(registered_models).where(registered_models.c.project == project))
    return [TitleRow(**_without_project(row)) for row in found]


def find(tx: sa.Connection, project: str, title: str, *, lock: bool = False) -> TitleRow | None:
    """Return what is said about the model of a title, or None."""
    query = sa.select(registered_models).where(
        registered_models.c.project == project, registered_models.c.title == title
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else TitleRow(**_without_project(row))


def add(tx: sa.Connection, project: str, row: TitleRow) -> bool:
    """Write what is said about a new model; False if another one has its name or its title."""
    try:
        with tx.begin_nested():  # so that the transaction outlasts a refusal
            tx.execute(registered_models.insert().values(_titled(project, row)))
    except sa.exc.IntegrityError:
        return False
    return True


def put(tx: sa.Connection, project: str, row: TitleRow) -> bool:
    """Write what is said about a model, in the place of what was; False if another one has its title."""
    here = (registered_models.c.project == project) & (registered_models.c.name == row.name)
    return _write(tx, registered_models, here, _titled(project, row))


def remove(tx: sa.Connection, project: str, name: str) -> None:
    """Remove what is said about a model, and about its versions."""
    for table in (registered_models, registered_versions):
        tx.execute(table.delete().where(table.c.project == project, table.c.name == name))


def words(tx: sa.Connection, project: str) -> dict[tuple[str, int], WordsRow]:
    """Return what is said about the versions of a project, by name and number."""
    found = tx.execute(sa.select(registered_versions).where(registered_versions.c.project == project))
    return {(row.name, row.version): WordsRow(**_without_project(row)) for row in found}


def put_words(tx: sa.Connection, project: str, row: WordsRow) -> None:
    """Write what is said about a version, in the place of what was."""
    model = (registered_versions.c.project == project) & (registered_versions.c.name == row.name)
    here = model & (registered_versions.c.version == row.version)
    _write(tx, registered_versions, here, vars(row) | {"project": project, "tags": dict(row.tags)})


def _write(tx: sa.Connection, table: sa.Table, here: sa.ColumnElement[bool], values: Mapping[str, object]) -> bool:
    for _ in range(2):  # somebody else may write the same row between the look and the insert
        with suppress(sa.exc.IntegrityError), tx.begin_nested():
            if not tx.execute(table.update().where(here).values(values)).rowcount:
                tx.execute(table.insert().values(values))
            return True
    return False


def _titled(project: str, row: TitleRow) -> dict[str, object]:
    return vars(row) | {"project": project, "tags": dict(row.tags), "aliases": dict(row.aliases)}


def _without_project(row: sa.Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "project"}
