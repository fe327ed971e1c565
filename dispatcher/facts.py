"""What intrinsic functions may ask of a living deployment: `blueprint`'s `Storage` over the engine's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher import blueprint
from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.model import Model
from outrider.dispatcher.store import deployments
from outrider.dispatcher.workflows.view import InstanceView

#: Environments inside environments, before we say that they go round in a circle.
DEEPEST_CHAIN = 20


class ModelFacts:
    """Facts of one deployment, and through the store those of others."""

    def __init__(self, model: Model, connection: Connection, *, depth: int = 0) -> None:
        self._model = model
        self._connection = connection
        self._depth = depth

    def inputs(self) -> Mapping[str, Any]:
        """Return the deployment's inputs."""
        return self._model.deployment.inputs

    def node(self, name: str) -> Mapping[str, Any]:
        """Return a node's record of the plan."""
        return self._model.nodes[name]

    def instance(self, instance_id: str) -> Mapping[str, Any]:
        """Return one node instance."""
        return _instance(self._model.instances[instance_id])

    def instances(self, node_name: str) -> Sequence[Mapping[str, Any]]:
        """Return all instances of a node."""
        if node_name not in self._model.nodes:
            raise KeyError(node_name)
        return [_instance(each) for each in self._model.of_node(node_name)]

    def secret(self, name: str) -> Any:
        """Never answered here: values of secrets go from their store to agents only."""
        raise KeyError(f"secret {name!r} (its value is not available to the engine)")

    def capability(self, deployment_id: str, name: str) -> Any:
        """Return a capability of another deployment, evaluated there."""
        if self._depth >= DEEPEST_CHAIN:
            raise KeyError(f"capability {name!r} of {deployment_id!r}: deployments refer to each other in a circle")
        tenant = self._model.deployment.tenant
        try:
            other = Model.load(self._connection, (tenant, deployment_id), {})
        except NotFound as error:
            raise KeyError(str(error)) from error
        definition = other.deployment.capabilities[name]
        facts = ModelFacts(other, self._connection, depth=self._depth + 1)
        return blueprint.evaluate(definition["value"], storage=facts)

    def group_deployments(self, group_id: str) -> Sequence[str]:
        """Return the deployments in a group: those that name it among their details."""
        tenant = self._model.deployment.tenant
        listed = deployments.listed(self._connection, tenant)
        found = [each.id for each in listed if group_id in each.details.get("groups", ())]
        if not found:
            raise KeyError(f"deployment group {group_id!r}")
        return found

    def parent_deployment(self) -> str:
        """Return the environment that this deployment stands in."""
        return self.labels()["csys-obj-parent"][0]

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return the deployment's labels."""
        labels: Mapping[str, Sequence[str]] = self._model.deployment.details.get("labels", {})
        return labels

    def system_fact(self, subject: str, name: str) -> Any:
        """Return a fact about the tenant or the deployment."""
        deployment = self._model.deployment
        known = {
            ("tenant", "name"): deployment.tenant,
            ("deployment", "id"): deployment.id,
            ("deployment", "name"): deployment.display_name,
            ("deployment", "blueprint"): deployment.blueprint_id,
            ("deployment", "owner"): deployment.details.get("created_by", ""),
        }
        return known[subject, name]

    def consumers(self) -> Sequence[Mapping[str, Any]]:
        """Return the deployments that name this one as their parent."""
        deployment = self._model.deployment
        return [
            {"id": each.id, "display_name": each.display_name}
            for each in deployments.listed(self._connection, deployment.tenant)
            if deployment.id in each.details.get("labels", {}).get("csys-obj-parent", ())
        ]


def _instance(view: InstanceView) -> Mapping[str, Any]:
    return {
        "id": view.id,
        "node_id": view.node,
        "index": view.index,
        "host_id": view.host,
        "runtime_properties": view.runtime_properties,
        "relationships": [
            {"target_id": each.target_instance, "target_name": each.target_node, "type": each.type}
            for each in view.relationships
        ],
        "scaling_groups": view.scaling_groups,
    }
