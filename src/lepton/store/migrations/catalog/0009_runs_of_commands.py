"""runs of users' own commands: the key of a submission, and the folder that came with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("submit_key", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("bundle", sa.String(length=26), nullable=True))
        batch_op.create_index("ix_runs_submit_key", ["project", "user_id", "submit_key"], unique=True)


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("ix_runs_submit_key")
        batch_op.drop_column("bundle")
        batch_op.drop_column("submit_key")
