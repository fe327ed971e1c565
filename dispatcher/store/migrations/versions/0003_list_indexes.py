"""Indexes for the REST API's list pages: the first rows of a tenant in the order that clients ask for, and counts."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("node_instances_list", "node_instances", ["tenant", "node_id", "deployment_id", "id"])
    op.create_index("node_instances_state", "node_instances", ["tenant", "deployment_id", "state"])
    op.create_index("executions_list", "executions", ["tenant", "created_at", "id"])
    op.create_index("deployments_list", "deployments", ["tenant", "created_at", "id"])
