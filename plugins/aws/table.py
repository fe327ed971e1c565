"""The table: every resource type that the plugin knows, and which row a node is of."""

from __future__ import annotations

from collections.abc import Sequence

from outrider.plugins.aws.resources import addresses, balancing, cloud_control, compute, identity, network, storage
from outrider.plugins.aws.row import Row
from outrider.plugins.sdk import NonRecoverableError

ROWS: dict[str, Row] = {
    row.type_name: row
    for module in (network, addresses, compute, balancing, storage, identity, cloud_control)
    for row in module.ROWS
}


def row_of(type_hierarchy: Sequence[str]) -> Row:
    """Return the row of a node: of its own type, or of the nearest that it derives from."""
    for name in reversed(type_hierarchy):
        if name in ROWS:
            return ROWS[name]
    raise NonRecoverableError(f"a node of type {type_hierarchy[-1]} is no AWS resource that this plugin knows")
