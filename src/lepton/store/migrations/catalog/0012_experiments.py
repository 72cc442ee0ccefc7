"""experiments of runs, when a run was deleted, and what is said about models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lepton.store.moments import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "run_experiments",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_run_experiments")),
    )
    op.create_index("uq_run_experiments_project_name", "run_experiments", ["project", "name"], unique=True)
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", UtcDateTime(), nullable=True))
    op.create_table(
        "registered_models",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=250), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_registered_models")),
    )
    op.create_index("uq_registered_models_project_title", "registered_models", ["project", "title"], unique=True)
    op.create_table(
        "registered_versions",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=26), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("logged_model", sa.String(length=64), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "version", name=op.f("pk_registered_versions")),
    )


def downgrade() -> None:
    """Move back to the version before."""
    op.drop_table("registered_versions")
    op.drop_index("uq_registered_models_project_title", "registered_models")
    op.drop_table("registered_models")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("deleted_at")
    op.drop_index("uq_run_experiments_project_name", "run_experiments")
    op.drop_table("run_experiments")
