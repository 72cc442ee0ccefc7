"""what endpoints are compared with, how they drift, and a few of their requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "endpoint_drift",
        sa.Column("endpoint_id", sa.String(26), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("sealed_reference", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_report", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint_id", "model", name=op.f("pk_endpoint_drift")),
    )
    op.create_table(
        "endpoint_requests",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("endpoint_id", sa.String(26), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_requests")),
    )
    op.create_index(op.f("ix_endpoint_requests_endpoint_id"), "endpoint_requests", ["endpoint_id"])
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed_profile", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Move back to the version before."""
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_column("sealed_profile")
    op.drop_index(op.f("ix_endpoint_requests_endpoint_id"), table_name="endpoint_requests")
    op.drop_table("endpoint_requests")
    op.drop_table("endpoint_drift")
