"""workers of endpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("min_workers", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("max_workers", sa.Integer(), nullable=False, server_default="1"))
    # The default was for the endpoints that there were; new ones say how many they want.
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.alter_column("min_workers", server_default=None)
        batch_op.alter_column("max_workers", server_default=None)


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_column("max_workers")
        batch_op.drop_column("min_workers")
