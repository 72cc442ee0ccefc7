"""Alembic's entry: runs in the transaction that ``runner.py`` opened. Knows no noun."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from lepton.store.moments import UtcDateTime


def _render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    # Old migrations must not change when our types do.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _ours(metadata: sa.MetaData | None) -> Any:
    def include(name: str | None, kind: str, _parents: object) -> bool:
        # In PostgreSQL both branches share a database: a table that is not of this branch is none of its business.
        return kind != "table" or metadata is None or name in metadata.tables

    return include


def _run() -> None:
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=attributes["metadata"],
        version_table=attributes["version_table"],
        include_name=_ours(attributes["metadata"]),
        render_item=_render,
        render_as_batch=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
