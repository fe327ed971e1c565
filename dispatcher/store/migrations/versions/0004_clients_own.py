"""What clients keep with the manager: task graphs of workflows that run elsewhere, and files of deployments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "outside_graphs",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outside_graphs_execution", "outside_graphs", ["execution_id"])
    op.create_table(
        "outside_operations",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("graph_id", sa.String(length=256), nullable=False),
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("dependencies", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["graph_id"], ["outside_graphs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outside_operations_graph", "outside_operations", ["graph_id", "position"])
    op.create_table(
        "deployment_files",
        sa.Column("tenant", sa.String(length=256), nullable=False),
        sa.Column("deployment_id", sa.String(length=256), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("modified", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "deployment_id"], ["deployments.tenant", "deployments.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant", "deployment_id", "path"),
    )
