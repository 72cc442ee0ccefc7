"""runs are queued by priority, share and quota, are tried again, depend on each other and come by schedules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from lepton.store.moments import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NEW: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("cpus", sa.Float()),
    ("memory_mb", sa.Integer()),
    ("gpus", sa.Integer()),
    ("priority", sa.Integer()),
    ("preemptible", sa.Boolean()),
    ("retries", sa.Integer()),
    ("timeout_s", sa.Float()),
    ("after", sa.JSON(none_as_null=True)),
    ("is_held", sa.Boolean()),
    ("not_before", UtcDateTime()),
    ("attempt", sa.Integer()),
    ("failures", sa.Integer()),
    ("stopping", sa.String(length=16)),
    ("cpu_seconds", sa.Float()),
    ("key", sa.String(length=128)),
    ("fingerprint", sa.String(length=64)),
    ("reused_from", sa.String(length=26)),
)


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        for name, kind in _NEW:
            batch_op.add_column(sa.Column(name, kind, nullable=True))
        batch_op.create_index(batch_op.f("ix_runs_project_fingerprint"), ["project", "fingerprint"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_project_user_id_key"), ["project", "user_id", "key"], unique=True)
    op.create_table(
        "run_quotas",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=True),
        sa.Column("memory_mb", sa.Integer(), nullable=True),
        sa.Column("gpus", sa.Integer(), nullable=True),
        sa.Column("running", sa.Integer(), nullable=True),
        sa.Column("hours", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_run_quotas")),
    )
    op.create_table(
        "run_schedules",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("last_run_id", sa.String(length=26), nullable=True),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_schedules_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_schedules")),
    )
    with op.batch_alter_table("run_schedules", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_schedules_project"), ["project"], unique=False)
        batch_op.create_index(batch_op.f("ix_run_schedules_next_at"), ["next_at"], unique=False)


def downgrade() -> None:
    """Move back to the version before."""
    op.drop_table("run_schedules")
    op.drop_table("run_quotas")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_project_user_id_key"))
        batch_op.drop_index(batch_op.f("ix_runs_project_fingerprint"))
        for name, _ in _NEW:
            batch_op.drop_column(name)
