"""Executions' tokens that stand for who started them; the audit log says which changes were made with one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("tokens", sa.Column("for_starter", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("audit_log", sa.Column("execution_id", sa.String(length=64), nullable=True))
