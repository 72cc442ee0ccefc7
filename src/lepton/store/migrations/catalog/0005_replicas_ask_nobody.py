"""replicas are told who may predict and ask nobody; endpoints may speak TLS."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_column("replica_control_url")
        batch_op.add_column(sa.Column("tls", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_column("tls")
        batch_op.add_column(sa.Column("replica_control_url", sa.String(length=255), nullable=True))
