"""journals of studies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lepton.store.moments import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "study_journals",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name=op.f("pk_study_journals")),
        sa.UniqueConstraint("id", name=op.f("uq_study_journals_id")),
    )
    op.create_table(
        "study_entries",
        sa.Column("journal_id", sa.String(length=26), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id", "first", name=op.f("pk_study_entries")),
    )
    op.create_index("uq_study_entries_journal_id_batch", "study_entries", ["journal_id", "batch"], unique=True)


def downgrade() -> None:
    """Move back to the version before."""
    op.drop_index("uq_study_entries_journal_id_batch", "study_entries")
    op.drop_table("study_entries")
    op.drop_table("study_journals")
