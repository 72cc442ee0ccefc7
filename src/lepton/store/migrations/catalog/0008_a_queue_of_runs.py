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

_NEW: tuple[sa.Column[Any], ...] = (
    sa.Column("cpus", sa.Float(), nullable=True),
    sa.Column("memory_mb", sa.Integer(), nullable=True),
    sa.Column("gpus", sa.Integer(), nullable=True),
    sa.Column("priority", sa.Integer(), nullable=True),
    sa.Column("preemptible", sa.Boolean(), nullable=True),
    sa.Column("retries", sa.Integer(), nullable=True),
    sa.Column("timeout_s", sa.Float(), nullable=True),
    sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("is_held", sa.Boolean(), nullable=True),
    sa.Column("not_before", UtcDateTime(), nullable=True),
    sa.Column("attempt", sa.Integer(), nullable=True),
    sa.Column("failures", sa.Integer(), nullable=True),
    sa.Column("stopping", sa.String(length=16), nullable=True),
    sa.Column("cpu_seconds", sa.Float(), nullable=True),
    sa.Column("key", sa.String(length=128), nullable=True),
    sa.Column("fingerprint", sa.String(length=64), nullable=True),
    sa.Column("reused_from", sa.String(length=26), nullable=True),
)


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        for column in _NEW:
            batch_op.add_column(column.copy())
        batch_op.create_index(batch_op.f("ix_runs_project_fingerprint"), ["project", "fingerprint"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_project_key"), ["project", "key"], unique=True)
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
        batch_op.drop_index(batch_op.f("ix_runs_project_key"))
        batch_op.drop_index(batch_op.f("ix_runs_project_fingerprint"))
        for column in _NEW:
            batch_op.drop_column(column.name)
