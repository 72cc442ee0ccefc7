"""The SQL of what people say about models and versions: the name they know it by, words, tags, aliases."""

from __future__ import annotations

from collections.abc import Mapping
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


def put(tx: sa.Connection, project: str, row: TitleRow) -> None:
    """Write what is said about a model, in the place of what was."""
    remove(tx, project, row.name, words=False)
    values = vars(row) | {"tags": dict(row.tags), "aliases": dict(row.aliases)}
    tx.execute(registered_models.insert().values(project=project, **values))


def remove(tx: sa.Connection, project: str, name: str, *, words: bool = True) -> None:
    """Remove what is said about a model, and about its versions too."""
    for table in (registered_models, registered_versions) if words else (registered_models,):
        tx.execute(table.delete().where(table.c.project == project, table.c.name == name))


def words(tx: sa.Connection, project: str) -> dict[tuple[str, int], WordsRow]:
    """Return what is said about the versions of a project, by name and number."""
    found = tx.execute(sa.select(registered_versions).where(registered_versions.c.project == project))
    return {(row.name, row.version): WordsRow(**_without_project(row)) for row in found}


def put_words(tx: sa.Connection, project: str, row: WordsRow) -> None:
    """Write what is said about a version, in the place of what was."""
    here = (registered_versions.c.project == project) & (registered_versions.c.name == row.name)
    tx.execute(registered_versions.delete().where(here, registered_versions.c.version == row.version))
    values = vars(row) | {"tags": dict(row.tags)}
    tx.execute(registered_versions.insert().values(project=project, **values))


def _without_project(row: sa.Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "project"}
