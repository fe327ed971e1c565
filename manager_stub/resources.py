"""The resources' faces: which wire field is which column. `shapes` says how a row is written."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from outrider.dispatcher.store.schema import (
    AGENTS,
    BLUEPRINTS,
    DEPLOYMENT_UPDATES,
    DEPLOYMENTS,
    EVENTS,
    EXECUTIONS,
    NODE_INSTANCES,
    NODES,
    PLUGINS,
    SECRETS,
)
from outrider.manager_stub import shapes
from outrider.manager_stub.details import Detail
from outrider.manager_stub.resource import Resource


def _owned(table: sa.Table) -> dict[str, sa.ColumnElement[str]]:
    return {
        "tenant_name": table.c.tenant,
        "visibility": sa.func.coalesce(Detail(table, "visibility"), "tenant"),
        "created_by": Detail(table, "created_by"),
    }


def _event_types(values: Sequence[str]) -> sa.ColumnElement[bool]:
    """``type=cloudify_event`` and ``type=cloudify_log``: which of the two kinds are wanted."""
    if {"cloudify_event", "cloudify_log"} <= set(values):
        return sa.true()  # every record is one of them, and no row has to be read to count them
    kinds = {"cloudify_event": EVENTS.c.event_type.is_not(None), "cloudify_log": EVENTS.c.level.is_not(None)}
    return sa.or_(sa.false(), *(kinds[value] for value in values if value in kinds))


def _system_workflows(_values: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.true()


PLUGIN = Resource(
    kind="plugin",
    table=PLUGINS,
    columns={
        "id": PLUGINS.c.id,
        "package_name": PLUGINS.c.package_name,
        "package_version": PLUGINS.c.package_version,
        "uploaded_at": PLUGINS.c.uploaded_at,
        "title": Detail(PLUGINS, "title"),
        **_owned(PLUGINS),
    },
    shape=shapes.plugins,
    search="package_name",
    visibility=True,
)
BLUEPRINT = Resource(
    kind="blueprint",
    table=BLUEPRINTS,
    columns={
        "id": BLUEPRINTS.c.id,
        "created_at": BLUEPRINTS.c.created_at,
        "updated_at": BLUEPRINTS.c.updated_at,
        "main_file_name": BLUEPRINTS.c.main_file,
        "state": BLUEPRINTS.c.state,
        "description": BLUEPRINTS.c.description,
        **_owned(BLUEPRINTS),
    },
    shape=shapes.blueprints,
    search="id",
    visibility=True,
)
DEPLOYMENT = Resource(
    kind="deployment",
    table=DEPLOYMENTS,
    columns={
        "id": DEPLOYMENTS.c.id,
        "display_name": DEPLOYMENTS.c.display_name,
        "blueprint_id": DEPLOYMENTS.c.blueprint_id,
        "created_at": DEPLOYMENTS.c.created_at,
        "updated_at": DEPLOYMENTS.c.updated_at,
        **_owned(DEPLOYMENTS),
    },
    shape=shapes.deployments,
    search="id",
    visibility=True,
)
EXECUTION = Resource(
    kind="execution",
    table=EXECUTIONS,
    columns={
        "id": EXECUTIONS.c.id,
        "deployment_id": EXECUTIONS.c.deployment_id,
        "blueprint_id": EXECUTIONS.c.blueprint_id,
        "workflow_id": EXECUTIONS.c.workflow,
        "status": EXECUTIONS.c.status,
        "created_at": EXECUTIONS.c.created_at,
        "started_at": EXECUTIONS.c.started_at,
        "ended_at": EXECUTIONS.c.ended_at,
        "scheduled_for": EXECUTIONS.c.scheduled_for,
        "is_dry_run": EXECUTIONS.c.dry_run,
        "created_by": EXECUTIONS.c.created_by,
        "tenant_name": EXECUTIONS.c.tenant,
    },
    shape=shapes.executions,
    order=(EXECUTIONS.c.created_at, EXECUTIONS.c.id),
    conditions={"is_system_workflow": _system_workflows},
)
NODE = Resource(
    kind="node",
    table=NODES,
    columns={
        "id": NODES.c.id,
        "deployment_id": NODES.c.deployment_id,
        "type": NODES.c.type,
        "tenant_name": NODES.c.tenant,
    },
    shape=shapes.nodes,
    search="id",
    order=(NODES.c.deployment_id, NODES.c.position),
)
NODE_INSTANCE = Resource(
    kind="node instance",
    table=NODE_INSTANCES,
    columns={
        "id": NODE_INSTANCES.c.id,
        "node_id": NODE_INSTANCES.c.node_id,
        "deployment_id": NODE_INSTANCES.c.deployment_id,
        "host_id": NODE_INSTANCES.c.host_id,
        "state": NODE_INSTANCES.c.state,
        "index": NODE_INSTANCES.c.index_in_node,
        "version": NODE_INSTANCES.c.version,
        "tenant_name": NODE_INSTANCES.c.tenant,
    },
    shape=shapes.node_instances,
    search="id",
    order=(NODE_INSTANCES.c.deployment_id, NODE_INSTANCES.c.node_id, NODE_INSTANCES.c.id),
)
#: Sorting by a time means the order of storing: a client counts what it has seen, so pages must only ever grow.
EVENT = Resource(
    kind="event",
    table=EVENTS,
    columns={
        "_storage_id": EVENTS.c.id,
        "timestamp": EVENTS.c.id,
        "reported_timestamp": EVENTS.c.id,
        "execution_id": EVENTS.c.execution_id,
        "deployment_id": EVENTS.c.deployment_id,
        "workflow_id": EVENTS.c.workflow,
        "event_type": EVENTS.c.event_type,
        "level": EVENTS.c.level,
        "logger": EVENTS.c.logger,
        "operation": EVENTS.c.operation,
        "message": EVENTS.c.message,
        "node_id": EVENTS.c.node,
        "node_name": EVENTS.c.node,
        "node_instance_id": EVENTS.c.instance,
        "tenant_name": EVENTS.c.tenant,
    },
    shape=shapes.events,
    key="_storage_id",
    search="message",
    order=(EVENTS.c.id,),
    patterns=frozenset({"operation", "message"}),
    conditions={"type": _event_types},
)
AGENT = Resource(
    kind="agent",
    table=AGENTS,
    columns={
        "name": AGENTS.c.id,
        "id": AGENTS.c.id,
        "state": AGENTS.c.state,
        "deployment_id": AGENTS.c.deployment_id,
        "node_instance_id": AGENTS.c.instance,
        "node_instance_ids": AGENTS.c.instance,
        "tenant_name": AGENTS.c.tenant,
        "install_methods": Detail(AGENTS, "install_method"),
    },
    shape=shapes.agents,
    key="name",
    search="name",
    conditions={
        "node_ids": lambda values: AGENTS.c.instance.in_(
            sa.select(NODE_INSTANCES.c.id).where(NODE_INSTANCES.c.node_id.in_(values))
        )
    },
)
SECRET = Resource(
    kind="secret",
    table=SECRETS,
    columns={
        "key": SECRETS.c.name,
        "id": SECRETS.c.name,
        "created_at": SECRETS.c.created_at,
        "updated_at": SECRETS.c.updated_at,
        **_owned(SECRETS),
    },
    shape=shapes.secrets,
    key="key",
    search="key",
    visibility=True,
)
DEPLOYMENT_UPDATE = Resource(
    kind="deployment update",
    table=DEPLOYMENT_UPDATES,
    columns={
        "id": DEPLOYMENT_UPDATES.c.id,
        "deployment_id": DEPLOYMENT_UPDATES.c.deployment_id,
        "execution_id": DEPLOYMENT_UPDATES.c.execution_id,
        "state": DEPLOYMENT_UPDATES.c.state,
        "created_at": DEPLOYMENT_UPDATES.c.created_at,
        "tenant_name": DEPLOYMENT_UPDATES.c.tenant,
    },
    shape=shapes.deployment_updates,
)
#: By what errors, and the processes that make pages, name them.
BY_KIND = {
    each.kind: each
    for each in (
        PLUGIN,
        BLUEPRINT,
        DEPLOYMENT,
        EXECUTION,
        NODE,
        NODE_INSTANCE,
        EVENT,
        AGENT,
        SECRET,
        DEPLOYMENT_UPDATE,
    )
}
