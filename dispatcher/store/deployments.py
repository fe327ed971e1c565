"""Deployments: a planned blueprint with its inputs, its nodes and its instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import Conflict, ExecutionRunning, NotFound
from outrider.dispatcher.store import executions, instances, jsontext
from outrider.dispatcher.store.database import insert_new
from outrider.dispatcher.store.schema import DEPLOYMENT_UPDATES, DEPLOYMENTS, EXECUTIONS, NODE_INSTANCES, NODES
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A row."""

    id: str
    blueprint_id: str
    tenant: str = "default_tenant"
    display_name: str = ""
    #: The deployment plan without ``nodes`` and ``node_instances``, which have tables of their own.
    plan: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    #: Definitions, with their functions.
    outputs: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    scaling_groups: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    model_version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def key(self) -> instances.Key:
        """What names it in other tables."""
        return self.tenant, self.id


_JSON = ("plan", "inputs", "outputs", "capabilities", "scaling_groups", "details")


def insert(
    connection: Connection,
    deployment: Deployment,
    *,
    nodes: Iterable[Mapping[str, Any]],
    node_instances: Iterable[InstanceView],
    now: float,
) -> None:
    """Store a new deployment with its nodes (records of the plan) and instances. Raises `AlreadyExists`."""
    row = {name: getattr(deployment, name) for name in Deployment.__dataclass_fields__}
    row |= {name: jsontext.dump(row[name]) for name in _JSON}
    row |= {"created_at": now, "updated_at": now, "display_name": deployment.display_name or deployment.id}
    insert_new(connection, DEPLOYMENTS, row, kind="deployment", name=deployment.id)
    replace_nodes(connection, deployment.key, nodes)
    instances.insert(connection, deployment.key, node_instances)


def replace_nodes(connection: Connection, key: instances.Key, nodes: Iterable[Mapping[str, Any]]) -> None:
    """Store a deployment's nodes anew."""
    connection.execute(sa.delete(NODES).where(NODES.c.tenant == key[0], NODES.c.deployment_id == key[1]))
    rows = [
        {
            "tenant": key[0],
            "deployment_id": key[1],
            "id": node["id"],
            "position": position,
            "type": node["type"],
            "plan": jsontext.dump(node),
        }
        for position, node in enumerate(nodes)
    ]
    if rows:
        connection.execute(sa.insert(NODES), rows)
    instances.touch_model(connection, key)


def update(connection: Connection, key: instances.Key, values: Mapping[str, Any], *, now: float) -> None:
    """Change columns of a deployment (mappings are encoded here)."""
    row = {name: jsontext.dump(value) if name in _JSON else value for name, value in values.items()}
    statement = sa.update(DEPLOYMENTS).where(DEPLOYMENTS.c.tenant == key[0], DEPLOYMENTS.c.id == key[1])
    if connection.execute(statement.values(**row, updated_at=now)).rowcount == 0:
        raise NotFound("deployment", key[1])
    instances.touch_model(connection, key)


def get(connection: Connection, key: instances.Key) -> Deployment:
    """Return one deployment; raises `NotFound`."""
    query = sa.select(DEPLOYMENTS).where(DEPLOYMENTS.c.tenant == key[0], DEPLOYMENTS.c.id == key[1])
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("deployment", key[1])
    return _record(row)


def listed(connection: Connection, tenant: str) -> list[Deployment]:
    """Return a tenant's deployments, oldest first."""
    query = sa.select(DEPLOYMENTS).where(DEPLOYMENTS.c.tenant == tenant).order_by(DEPLOYMENTS.c.created_at)
    return [_record(row) for row in connection.execute(query)]


def built_wagons(connection: Connection) -> set[str]:
    """Return the hashes of all wagons that were built for deployments, in every tenant."""
    found: set[str] = set()
    for (details,) in connection.execute(sa.select(DEPLOYMENTS.c.details)):
        for built in jsontext.load(details).get("built_plugins", {}).values():
            found.update(each["sha256"] for each in built["wagons"])
    return found


def nodes_of(connection: Connection, key: instances.Key) -> dict[str, Mapping[str, Any]]:
    """Return a deployment's nodes, as the plan describes them, by name."""
    query = sa.select(NODES.c.id, NODES.c.plan).where(NODES.c.tenant == key[0], NODES.c.deployment_id == key[1])
    return {row.id: jsontext.load(row.plan) for row in connection.execute(query.order_by(NODES.c.position))}


def view(
    connection: Connection, key: instances.Key, *, config: Mapping[str, Any], deployment: Deployment | None = None
) -> DeploymentView:
    """Return a deployment as workflow planners see it; raises `NotFound`."""
    stored = deployment or get(connection, key)
    return DeploymentView(
        id=stored.id,
        nodes=nodes_of(connection, key),
        instances=instances.of_deployment(connection, key),
        scaling_groups=stored.scaling_groups,
        plan=stored.plan,
        config=config,
    )


#: States in which an instance has nothing outside of the store.
NOT_INSTALLED = frozenset({"uninitialized", "deleted"})


def delete(connection: Connection, key: instances.Key, *, force: bool = False) -> None:
    """Delete a deployment with its executions.

    Raises `NotFound`, and unless forced `ExecutionRunning`, or `Conflict` if instances are still installed.
    """
    get(connection, key)
    installed = [
        each.id for each in instances.of_deployment(connection, key).values() if each.state not in NOT_INSTALLED
    ]
    if installed and not force:
        named = ", ".join(installed[:5]) + (" …" if len(installed) > 5 else "")
        raise Conflict(f"deployment {key[1]!r} still has installed instances ({named}): uninstall it first")
    holder = executions.active_of(connection, *key)
    if holder is not None and not force:
        raise ExecutionRunning(f"deployment {key[1]!r} has a running execution: {holder.id} ({holder.workflow})")
    of_it = sa.select(EXECUTIONS.c.id).where(EXECUTIONS.c.tenant == key[0], EXECUTIONS.c.deployment_id == key[1])
    executions.delete(connection, connection.execute(of_it).scalars().all())
    for table in (NODE_INSTANCES, NODES, DEPLOYMENT_UPDATES):
        connection.execute(sa.delete(table).where(table.c.tenant == key[0], table.c.deployment_id == key[1]))
    connection.execute(sa.delete(DEPLOYMENTS).where(DEPLOYMENTS.c.tenant == key[0], DEPLOYMENTS.c.id == key[1]))


def _record(row: Row[Any]) -> Deployment:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values |= {name: jsontext.load(values[name]) for name in _JSON}
    return Deployment(**values)
