"""Executions of workflows that run elsewhere, which no dispatcher takes; tokens are found by their execution."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("executions", sa.Column("outside", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("tokens_execution", "tokens", ["execution_id"])
