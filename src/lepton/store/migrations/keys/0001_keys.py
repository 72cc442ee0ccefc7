"""The root key's name, project keys and wrapped keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this version."""
    op.create_table(
        "root_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_root_key")),
    )
    op.create_table(
        "project_keys",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_project_keys")),
    )
    op.create_table(
        "wrapped_keys",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"], ["project_keys.project"], name=op.f("fk_wrapped_keys_project_project_keys")
        ),
        sa.PrimaryKeyConstraint("project", "scope", name=op.f("pk_wrapped_keys")),
    )


def downgrade() -> None:
    """Move back to the version before."""
    op.drop_table("wrapped_keys")
    op.drop_table("project_keys")
    op.drop_table("root_key")
