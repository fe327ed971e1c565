"""A deployment in the engine's memory: nodes, instances, and the changes that operations make to them.

The store's `model_version` tells when somebody else (the REST API, another dispatcher) changed it; then it is read
again. A change is merged into what is stored, key by key, so two writers lose nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.plan_values import PlanValues
from outrider.dispatcher.store import blueprints, deployments, instances
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView
from outrider.messaging.messages import PropertyChange


class Model:
    """The living view of one deployment."""

    def __init__(self, deployment: Deployment, view: DeploymentView) -> None:
        self.deployment = deployment
        self.nodes: dict[str, Mapping[str, Any]] = dict(view.nodes)
        self.instances: dict[str, InstanceView] = dict(view.instances)
        self.config = view.config
        self.values = PlanValues()
        #: What changed and is not written yet → as it was read.
        self._dirty: dict[str, InstanceView] = {}
        self._by_node: dict[str, list[str]] | None = None

    @classmethod
    def load(cls, connection: Connection, key: instances.Key, config: Mapping[str, Any]) -> Model:
        """Read a deployment; raises `NotFound`."""
        deployment = deployments.get(connection, key)
        return cls(deployment, deployments.view(connection, key, config=config, deployment=deployment))

    @property
    def key(self) -> instances.Key:
        """Tenant and deployment."""
        return self.deployment.key

    def refresh(self, connection: Connection) -> None:
        """Read the instances again if somebody else changed them."""
        if instances.model_version(connection, self.key) != self.deployment.model_version:
            self.reload(connection)

    def reload(self, connection: Connection) -> None:
        """Read everything again."""
        fresh = Model.load(connection, self.key, self.config)
        read = {each: fresh.instances[each] for each in self._dirty if each in fresh.instances}
        unsaved = {each: _on_top_of(now, self.instances[each], self._dirty[each]) for each, now in read.items()}
        self.deployment, self.nodes, self.instances = fresh.deployment, fresh.nodes, {**fresh.instances, **unsaved}
        self._dirty = read
        self.values = PlanValues()
        self._by_node = None

    def view(self) -> DeploymentView:
        """Return the deployment as planners see it."""
        return DeploymentView(
            id=self.deployment.id,
            nodes=self.nodes,
            instances=dict(self.instances),
            scaling_groups=self.deployment.scaling_groups,
            plan=self.deployment.plan,
            config=self.config,
        )

    def of_node(self, node: str) -> list[InstanceView]:
        """Return the instances of a node."""
        if self._by_node is None:
            self._by_node = {}
            for each in self.instances.values():
                self._by_node.setdefault(each.node, []).append(each.id)
        return [self.instances[each] for each in self._by_node.get(node, ())]

    def set_state(self, instance_id: str, state: str) -> None:
        """Change an instance's state, with what the reference does on the way."""
        instance = self.instances.get(instance_id)
        if instance is None:
            return
        system = dict(instance.system_properties)
        if state == "configured":
            for name in _DRIFT:
                system.pop(name, None)
        elif state == "started" and "status" in system:
            system["status"] = {**system["status"], "ok": True}
        self._put(replace(instance, state=state, system_properties=system, version=instance.version + 1))

    def set_system_property(self, instance_id: str, name: str, value: Any) -> None:
        """Record what an operation found out about an instance."""
        instance = self.instances.get(instance_id)
        if instance is None:
            return
        system = dict(instance.system_properties)
        if name == "status" and "status" in system:
            system["previous_status"] = system["status"]
        system[name] = value
        self._put(replace(instance, system_properties=system, version=instance.version + 1))

    def forget(self, instance_id: str, name: str) -> None:
        """Remove what is recorded of an instance under a name."""
        instance = self.instances.get(instance_id)
        if instance is not None and name in instance.system_properties:
            kept = {key: value for key, value in instance.system_properties.items() if key != name}
            self._put(replace(instance, system_properties=kept, version=instance.version + 1))

    def merge(self, changes: Iterable[PropertyChange], *, after: int, only_if_unchanged: bool = False) -> int:
        """Apply an attempt's changes that are newer than its update number `after`; return the newest number.

        `only_if_unchanged`: a late result's changes fit only if nobody has written the instance since it was read.
        """
        newest = after
        for change in sorted(changes, key=lambda each: each.sequence):
            instance = self.instances.get(change.instance)
            if change.sequence <= after or instance is None:
                continue
            newest = max(newest, change.sequence)
            if only_if_unchanged and instance.version != change.base_version:
                continue
            properties = {} if change.replace else dict(instance.runtime_properties)
            properties.update(change.set)
            for name in change.delete:
                properties.pop(name, None)
            self._put(replace(instance, runtime_properties=properties, version=instance.version + 1))
        return newest

    def flush(self, connection: Connection) -> None:
        """Write what changed."""
        if not self._dirty:
            return
        version = instances.touch_model(connection, self.key)
        if version == self.deployment.model_version + 1:
            self.deployment = replace(self.deployment, model_version=version)
        elif version:
            # Written since it was read: by another execution of this turn, or, on PostgreSQL, by another process.
            self.reload(connection)
        instances.save(connection, self.key, [self.instances[each] for each in self._dirty])
        self._dirty.clear()

    def _put(self, instance: InstanceView) -> None:
        self._dirty.setdefault(instance.id, self.instances[instance.id])
        self.instances[instance.id] = instance


def _on_top_of(now: InstanceView, ours: InstanceView, read: InstanceView) -> InstanceView:
    """Return an instance as it is stored now, with what we changed of it since it was read."""
    return replace(
        now,
        state=now.state if ours.state == read.state else ours.state,
        runtime_properties=_changed(now.runtime_properties, ours.runtime_properties, read.runtime_properties),
        system_properties=_changed(now.system_properties, ours.system_properties, read.system_properties),
        version=now.version + ours.version - read.version,
    )


def _changed(now: Mapping[str, Any], ours: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in now.items() if name in ours or name not in read}
    return kept | {name: value for name, value in ours.items() if name not in read or read[name] != value}


_DRIFT = (
    "configuration_drift",
    "source_relationships_configuration_drift",
    "target_relationships_configuration_drift",
)


def resources_of(connection: Connection, model: Model) -> str | None:
    """Return the hash of the manifest of a deployment's files; None if it has none (any more)."""
    return blueprints.resources_of(connection, model.key[0], model.deployment.blueprint_id)
