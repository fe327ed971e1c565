"""Nodes and node instances on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.schema import DEPLOYMENTS, NODE_INSTANCES
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import ownership

Json = dict[str, Any]


def nodes(connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[Json]:
    """Return node records; counts are of the instances that exist now."""
    wanted = {(row.tenant, row.deployment_id) for row in rows}
    counts: dict[tuple[str, str, str], int] = {}
    blueprints: dict[tuple[str, str], str] = {}
    for tenant, deployment_id in wanted:
        table = NODE_INSTANCES.c
        query = sa.select(table.node_id, sa.func.count()).where(
            table.tenant == tenant, table.deployment_id == deployment_id
        )
        for node_id, count in connection.execute(query.group_by(table.node_id)):
            counts[tenant, deployment_id, node_id] = count
        of = sa.select(DEPLOYMENTS.c.blueprint_id).where(
            DEPLOYMENTS.c.tenant == tenant, DEPLOYMENTS.c.id == deployment_id
        )
        blueprints[tenant, deployment_id] = connection.execute(of).scalar_one_or_none() or ""
    return [
        _node(row, counts.get((row.tenant, row.deployment_id, row.id), 0), blueprints[row.tenant, row.deployment_id])
        for row in rows
    ]


def node_instances(_connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[Json]:
    """Return records of node instances."""
    return [_instance(row) for row in rows]


def _node(row: Row[Any], count: int, blueprint_id: str) -> Json:
    plan: Mapping[str, Any] = jsontext.load(row.plan)
    scalable = (plan.get("capabilities") or {}).get("scalable", {}).get("properties", {})
    planned = scalable.get("current_instances", count)
    return {
        "id": row.id,
        "deployment_id": row.deployment_id,
        "deployment_display_name": row.deployment_id,
        "blueprint_id": blueprint_id,
        "host_id": plan.get("host_id"),
        "type": row.type,
        "type_hierarchy": list(plan.get("type_hierarchy") or (row.type,)),
        "properties": plan.get("properties") or {},
        "operations": plan.get("operations") or {},
        "relationships": list(plan.get("relationships") or ()),
        "plugins": list(plan.get("plugins") or ()),
        "plugins_to_install": list(plan.get("plugins_to_install") or ()),
        "number_of_instances": count,
        "planned_number_of_instances": planned,
        "deploy_number_of_instances": scalable.get("default_instances", count),
        "min_number_of_instances": scalable.get("min_instances", 0),
        "max_number_of_instances": scalable.get("max_instances", -1),
        "actual_number_of_instances": count,
        "actual_planned_number_of_instances": count,
        "drifted_instances": 0,
        "unavailable_instances": 0,
        **ownership({}, row.tenant, None),
    }


def _instance(row: Row[Any]) -> Json:
    system: Mapping[str, Any] = jsontext.load(row.system_properties)
    return {
        "id": row.id,
        "node_id": row.node_id,
        "deployment_id": row.deployment_id,
        "host_id": row.host_id,
        "state": row.state,
        "version": row.version,
        "index": row.index_in_node,
        "relationships": [
            {"target_id": target, "target_name": node, "type": type_name}
            for target, node, type_name, _index in jsontext.load(row.relationships)
        ],
        "runtime_properties": jsontext.load(row.runtime_properties),
        "system_properties": system,
        "scaling_groups": jsontext.load(row.scaling_groups),
        "has_configuration_drift": bool(system.get("configuration_drift")),
        "is_status_check_ok": bool((system.get("status") or {}).get("ok", True)),
        **ownership({}, row.tenant, None),
    }
