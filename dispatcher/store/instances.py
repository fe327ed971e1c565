"""Node instances: state and properties of what a deployment consists of. Every change raises `version`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outrider.dispatcher.errors import NotFound, VersionConflict
from outrider.dispatcher.store import bulk, jsontext
from outrider.dispatcher.store.schema import DEPLOYMENTS, NODE_INSTANCES
from outrider.dispatcher.workflows.view import InstanceRelationship, InstanceView

Key = tuple[str, str]
"""Tenant and deployment id."""


def insert(connection: Connection, key: Key, instances: Iterable[InstanceView]) -> None:
    """Store new instances."""
    rows = [row_of(key, instance) for instance in instances]
    if rows:
        connection.execute(sa.insert(NODE_INSTANCES), rows)
        touch_model(connection, key)


def row_of(key: Key, instance: InstanceView) -> dict[str, Any]:
    """Return an instance's row."""
    return {
        "tenant": key[0],
        "deployment_id": key[1],
        "id": instance.id,
        "node_id": instance.node,
        "host_id": instance.host,
        "state": instance.state,
        "index_in_node": instance.index,
        "version": instance.version,
        "relationships": jsontext.dump(
            [[r.target_instance, r.target_node, r.type, r.index] for r in instance.relationships]
        ),
        "scaling_groups": jsontext.dump(instance.scaling_groups),
        "runtime_properties": jsontext.dump(instance.runtime_properties),
        "system_properties": jsontext.dump(instance.system_properties),
    }


#: The engine's write of an instance; it holds the newest version, so the row is replaced.
SAVE = (
    sa.update(NODE_INSTANCES)
    .where(
        NODE_INSTANCES.c.tenant == sa.bindparam("b_tenant"),
        NODE_INSTANCES.c.deployment_id == sa.bindparam("b_deployment_id"),
        NODE_INSTANCES.c.id == sa.bindparam("b_id"),
    )
    .values(
        state=sa.bindparam("b_state"),
        version=sa.bindparam("b_version"),
        runtime_properties=sa.bindparam("b_runtime_properties"),
        system_properties=sa.bindparam("b_system_properties"),
    )
)


def save_row(key: Key, instance: InstanceView) -> dict[str, Any]:
    """Return the parameters of `SAVE`."""
    return {
        "b_tenant": key[0],
        "b_deployment_id": key[1],
        "b_id": instance.id,
        "b_state": instance.state,
        "b_version": instance.version,
        "b_runtime_properties": jsontext.dump(instance.runtime_properties),
        "b_system_properties": jsontext.dump(instance.system_properties),
    }


def save(connection: Connection, key: Key, instances: Iterable[InstanceView]) -> None:
    """Replace what is stored of instances (relationships and groups: see `replace`)."""
    rows = [save_row(key, instance) for instance in instances]
    bulk.write(connection, SAVE, rows)


def replace(connection: Connection, key: Key, instances: Iterable[InstanceView]) -> None:
    """Store instances anew, whole."""
    listed_instances = list(instances)
    remove(connection, key, [instance.id for instance in listed_instances])
    insert(connection, key, listed_instances)


def remove(connection: Connection, key: Key, ids: Sequence[str]) -> None:
    """Delete instances."""
    for instance_id in ids:
        connection.execute(sa.delete(NODE_INSTANCES).where(*_of(key), NODE_INSTANCES.c.id == instance_id))
    touch_model(connection, key)


def patch(
    connection: Connection,
    key: Key,
    instance_id: str,
    *,
    version: int | None,
    state: str | None = None,
    runtime_properties: Mapping[str, Any] | None = None,
    system_properties: Mapping[str, Any] | None = None,
) -> InstanceView:
    """Change an instance from outside the engine; `version` is what the caller had read (None: do not check).

    Raises `NotFound`, and `VersionConflict` if the stored version is newer.
    """
    stored = get(connection, key, instance_id, lock=True)
    if version is not None and stored.version > version:
        raise VersionConflict(
            f"node instance {instance_id!r} has version {stored.version}, the change is based on {version}: "
            "read it again and repeat"
        )
    values: dict[str, Any] = {"version": stored.version + 1}
    if state is not None:
        values["state"] = state
    if runtime_properties is not None:
        values["runtime_properties"] = jsontext.dump(runtime_properties)
    if system_properties is not None:
        values["system_properties"] = jsontext.dump(system_properties)
    statement = sa.update(NODE_INSTANCES).where(*_of(key), NODE_INSTANCES.c.id == instance_id)
    connection.execute(statement.values(**values))
    touch_model(connection, key)
    return get(connection, key, instance_id)


def get(connection: Connection, key: Key, instance_id: str, *, lock: bool = False) -> InstanceView:
    """Return one instance; raises `NotFound`."""
    query = sa.select(NODE_INSTANCES).where(*_of(key), NODE_INSTANCES.c.id == instance_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound("node instance", instance_id)
    return _record(row)


def of_deployment(connection: Connection, key: Key) -> dict[str, InstanceView]:
    """Return a deployment's instances by id."""
    query = (
        sa.select(NODE_INSTANCES).where(*_of(key)).order_by(NODE_INSTANCES.c.node_id, NODE_INSTANCES.c.index_in_node)
    )
    return {row.id: _record(row) for row in connection.execute(query)}


_MODEL_VERSION = sa.select(DEPLOYMENTS.c.model_version).where(
    DEPLOYMENTS.c.tenant == sa.bindparam("b_tenant"), DEPLOYMENTS.c.id == sa.bindparam("b_id")
)


def model_version(connection: Connection, key: Key) -> int | None:
    """Return the number that rises with every change of the deployment's nodes and instances."""
    row = bulk.row(connection, _MODEL_VERSION, {"b_tenant": key[0], "b_id": key[1]})
    return None if row is None else int(row[0])


def touch_model(connection: Connection, key: Key) -> int:
    """Raise the model's version and return it; locks the deployment's row."""
    statement = (
        sa.update(DEPLOYMENTS)
        .where(DEPLOYMENTS.c.tenant == key[0], DEPLOYMENTS.c.id == key[1])
        .values(model_version=DEPLOYMENTS.c.model_version + 1)
        .returning(DEPLOYMENTS.c.model_version)
    )
    return connection.execute(statement).scalar_one_or_none() or 0


def _of(key: Key) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return NODE_INSTANCES.c.tenant == key[0], NODE_INSTANCES.c.deployment_id == key[1]


def _record(row: Row[Any]) -> InstanceView:
    return InstanceView(
        id=row.id,
        node=row.node_id,
        state=row.state,
        host=row.host_id,
        index=row.index_in_node,
        relationships=tuple(
            InstanceRelationship(target_instance=r[0], target_node=r[1], type=r[2], index=r[3])
            for r in jsontext.load(row.relationships)
        ),
        scaling_groups=tuple(jsontext.load(row.scaling_groups)),
        runtime_properties=jsontext.load(row.runtime_properties),
        system_properties=jsontext.load(row.system_properties),
        version=row.version,
    )
