"""endpoints may have replicas on several machines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("replicas", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_column("replicas")
