"""points of runs are packed by curve; runs have params, tags and clients that send batches."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from itertools import groupby

import sqlalchemy as sa
from alembic import op

from lepton.store.moments import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "run_curves",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("last_time_us", sa.BigInteger(), nullable=False),
        sa.Column("last_value", sa.Float(), nullable=True),
        sa.Column("min_value", sa.Float(), nullable=True),
        sa.Column("max_value", sa.Float(), nullable=True),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("tail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_curves_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_run_curves")),
    )
    op.create_index("ix_run_curves_key_last_value", "run_curves", ["key", "last_value", "run_id"])
    op.create_table(
        "run_chunks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_chunks_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_chunks")),
    )
    op.create_index("ix_run_chunks_run_id_key", "run_chunks", ["run_id", "key", "id"])
    op.create_table(
        "run_fields",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_fields_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "kind", "key", name=op.f("pk_run_fields")),
    )
    op.create_index("ix_run_fields_kind_key_head", "run_fields", ["kind", "key", "head", "run_id"])
    op.create_index("ix_run_fields_kind_key_number", "run_fields", ["kind", "key", "number", "run_id"])
    op.create_table(
        "run_clients",
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("client", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_clients_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "client", name=op.f("pk_run_clients")),
    )
    _pack_points()
    op.drop_table("run_metrics")


def _pack_points() -> None:
    """Write the points that were rows, a curve at a time."""
    types = {"run_id": sa.String, "key": sa.String, "step": sa.BigInteger, "time": UtcDateTime, "value": sa.Float}
    old = sa.table("run_metrics", sa.column("id"), *(sa.column(name, kind()) for name, kind in types.items()))
    columns = ("run_id", "key", "last_step", "last_time_us", "last_value", "min_value", "max_value", "points", "tail")
    curves = sa.table("run_curves", *(sa.column(name) for name in columns))
    chunks = sa.table("run_chunks", sa.column("run_id"), sa.column("key"), sa.column("data"))
    tx = op.get_bind()
    for (run_id,) in tx.execute(sa.select(old.c.run_id).distinct()).all():
        found = tx.execute(sa.select(old).where(old.c.run_id == run_id).order_by(old.c.key, old.c.id)).all()
        for key, group in groupby(found, key=lambda row: row.key):
            points = [(r.step, (r.time - _EPOCH) // timedelta(microseconds=1), r.value) for r in group]
            data = b"".join(struct.pack("<qqd", s, t, float("nan") if v is None else v) for s, t, v in points)
            step, time_us, value = max(enumerate(points), key=lambda numbered: (numbered[1][0], numbered[0]))[1]
            finite = [v for _, _, v in points if v is not None]
            tx.execute(chunks.insert().values(run_id=run_id, key=key, data=data))
            row = (run_id, key, step, time_us, value, min(finite, default=None), max(finite, default=None))
            tx.execute(curves.insert().values(dict(zip(columns, (*row, len(points), b""), strict=True))))


def downgrade() -> None:
    """Refuse: points that are packed do not become rows again."""
    raise NotImplementedError("The version before kept points as rows. Restore a backup of it.")
