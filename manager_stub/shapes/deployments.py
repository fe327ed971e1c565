"""Deployments on the wire, with what their instances and their latest execution say about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.store import deployments as stored
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.executions import ACTIVE
from outrider.dispatcher.store.schema import EXECUTIONS
from outrider.dispatcher.workflows import BUILT_IN, DeploymentView, availability
from outrider.manager_stub.instance_states import InstanceStates
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.wire import labels_list, ownership, time_text

Json = dict[str, Any]
Key = tuple[str, str]

_STATES = InstanceStates()
_RUNNING = frozenset(status.value for status in ACTIVE) | {"queued", "scheduled"}
_UPDATES = {"terminated": "successful", "failed": "failed", "cancelled": "failed"}
_LATEST = {"terminated": "completed", "failed": "failed", "cancelled": "cancelled"}


class _Latest(NamedTuple):
    """What is told of a deployment's latest execution; the names are columns."""

    id: str
    deployment_id: str
    workflow: str
    status: str
    total_operations: int
    finished_operations: int


def deployments(connection: Connection, rows: Sequence[Row[Any]], listing: ListCall) -> list[Json]:
    """Return deployment records."""
    states = _STATES.of(connection, rows)
    latest = _latest_executions(connection, rows)
    found = [_deployment(row, states[row.tenant, row.id], latest.get((row.tenant, row.id))) for row in rows]
    if listing.flag("_workflows"):
        for row, record in zip(rows, found, strict=True):
            record["workflows"] = _workflows(connection, (row.tenant, row.id))
    return found


def deployment_updates(connection: Connection, rows: Sequence[Row[Any]], _listing: ListCall) -> list[Json]:
    """Return records of deployment updates; how one stands is what its execution came to."""
    executions = {row.execution_id for row in rows if row.execution_id is not None}
    query = sa.select(EXECUTIONS.c.id, EXECUTIONS.c.status).where(EXECUTIONS.c.id.in_(executions))
    statuses = {row.id: row.status for row in connection.execute(query)} if executions else {}
    return [
        {
            "id": row.id,
            "deployment_id": row.deployment_id,
            "execution_id": row.execution_id,
            "state": _UPDATES.get(statuses.get(row.execution_id, ""), row.state),
            "steps": [],
            "recursive_dependencies": [],
            **jsontext.load(row.payload),
            **ownership({}, row.tenant, row.created_at),
        }
        for row in rows
    ]


def _deployment(row: Row[Any], states: Mapping[str, int], latest: _Latest | None) -> Json:
    details: Mapping[str, Any] = jsontext.load(row.details)
    plan: Mapping[str, Any] = jsontext.load(row.plan)
    active = bool(states) and set(states) == {"started"}
    return {
        "id": row.id,
        "blueprint_id": row.blueprint_id,
        "display_name": row.display_name,
        "description": plan.get("description"),
        "inputs": jsontext.load(row.inputs),
        "outputs": jsontext.load(row.outputs),
        "capabilities": jsontext.load(row.capabilities),
        "groups": plan.get("groups") or {},
        "scaling_groups": jsontext.load(row.scaling_groups),
        "policy_types": plan.get("policy_types") or {},
        "policy_triggers": plan.get("policy_triggers") or {},
        "workflows": None,
        "site_name": details.get("site_name"),
        "labels": labels_list(details, row.created_at),
        "updated_at": time_text(row.updated_at),
        "permalink": None,
        "runtime_only_evaluation": bool(details.get("runtime_only_evaluation")),
        "resource_tags": details.get("resource_tags"),
        "deployment_groups": list(details.get("groups") or ()),
        **_environment(),
        **_state(latest, active=active),
        "drifted_instances": 0,
        "unavailable_instances": sum(states.values()) - states.get("started", 0) if active else 0,
        "instance_states": dict(states),
        **ownership(details, row.tenant, row.created_at),
    }


def _environment() -> Json:
    return {
        "sub_services_status": None,
        "sub_services_count": 0,
        "sub_environments_status": None,
        "sub_environments_count": 0,
        "environment_type": "",
        "has_sub_deployments": False,
        "create_execution": None,
        "workdir_zip": None,
    }


def _state(latest: _Latest | None, *, active: bool) -> Json:
    running = latest is not None and latest.status in _RUNNING
    status = None if latest is None else ("in_progress" if running else _LATEST[latest.status])
    overall = "in_progress" if running else "good"
    if not running and (not active or status in ("failed", "cancelled")):
        overall = "requires_attention"
    return {
        "installation_status": "active" if active else "inactive",
        "deployment_status": overall,
        "latest_execution": None if latest is None else latest.id,
        "latest_execution_status": status,
        "latest_execution_workflow_id": None if latest is None else latest.workflow,
        "latest_execution_total_operations": 0 if latest is None else latest.total_operations,
        "latest_execution_finished_operations": 0 if latest is None else latest.finished_operations,
    }


def _latest_executions(connection: Connection, rows: Sequence[Row[Any]]) -> Mapping[Key, _Latest]:
    found: dict[Key, _Latest] = {}
    for tenant, ids in _ids_by_tenant(rows).items():
        asked = {"wanted_tenant": tenant, "wanted_ids": jsontext.dump(ids)}
        for row in connection.execute(_NEWEST[connection.dialect.name], asked).all():
            latest = _Latest(*row)
            found[tenant, latest.deployment_id] = latest
    return found


def _newest(wanted: sa.TableValuedAlias) -> sa.Select[Any]:
    """Return the query for the newest execution of each deployment: one look into the index for each."""
    table, same = EXECUTIONS.c, EXECUTIONS.alias().c
    newest = (
        sa.select(same.id)
        .where(same.tenant == sa.bindparam("wanted_tenant"), same.deployment_id == wanted.c.value)
        .order_by(same.created_at.desc())
        .limit(1)
        .correlate(wanted)
        .scalar_subquery()
    )
    joined = wanted.join(EXECUTIONS, table.id == newest)
    return sa.select(*(table[name] for name in _Latest._fields)).select_from(joined)


#: As one JSON text: a list of parameters would have the query written anew for each length.
_WANTED = sa.bindparam("wanted_ids", type_=sa.Text())
#: Built once: it is part of every page.
_NEWEST = {
    "sqlite": _newest(sa.func.json_each(_WANTED).table_valued("value")),
    "postgresql": _newest(sa.func.json_array_elements_text(sa.cast(_WANTED, sa.JSON)).table_valued("value")),
}


def _ids_by_tenant(rows: Sequence[Row[Any]]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row.tenant].append(row.id)
    return found


def _workflows(connection: Connection, key: Key) -> list[Json]:
    view = stored.view(connection, key, config={})
    return [_workflow(name, view) for name in sorted({*BUILT_IN, *(view.plan.get("workflows") or {})})]


def _workflow(name: str, view: DeploymentView) -> Json:
    entry: Mapping[str, Any] = (view.plan.get("workflows") or {}).get(name) or {}
    built_in = BUILT_IN.get(name)
    return {
        "name": name,
        "plugin": entry.get("plugin") or "default_workflows",
        "operation": entry.get("operation") or name,
        "parameters": entry.get("parameters") or (dict(built_in.parameters) if built_in is not None else {}),
        "is_cascading": bool(entry.get("is_cascading")),
        "is_available": availability(name, view).available,
        "availability_rules": entry.get("availability_rules"),
    }
