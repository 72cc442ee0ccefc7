"""rollouts of endpoints: canaries, shadows, what was before, limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from lepton.store.moments import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "endpoint_companions",
        sa.Column("endpoint_id", sa.String(26), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("model_version_id", sa.String(26), nullable=False),
        sa.Column("blob_id", sa.String(64), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("sealed_signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "role", name=op.f("pk_endpoint_companions")),
    )
    op.create_index(op.f("ix_endpoint_companions_model_version_id"), "endpoint_companions", ["model_version_id"])
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("previous", sa.String(80), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("went_back", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("max_rate", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("max_token_rate", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("max_concurrency", sa.Integer(), nullable=True))
    # The default was for the endpoints that there were.
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.alter_column("previous", server_default=None)
        batch_op.alter_column("went_back", server_default=None)


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        for name in ("max_concurrency", "max_token_rate", "max_rate", "went_back", "previous"):
            batch_op.drop_column(name)
    op.drop_index(op.f("ix_endpoint_companions_model_version_id"), table_name="endpoint_companions")
    op.drop_table("endpoint_companions")
