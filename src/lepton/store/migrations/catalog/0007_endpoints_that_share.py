"""endpoints may share the replica of another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shares_id", sa.String(length=26), nullable=True))
        batch_op.create_index(batch_op.f("ix_endpoints_shares_id"), ["shares_id"], unique=False)


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_endpoints_shares_id"))
        batch_op.drop_column("shares_id")
