"""runs of users' own commands: the folder that came with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("bundle", sa.String(length=26), nullable=True))


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("bundle")
