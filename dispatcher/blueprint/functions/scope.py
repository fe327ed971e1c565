"""What a caller provides so that functions can be evaluated: who SELF is, and where facts come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol


@dataclass(frozen=True)
class Scope:
    """Whom SELF, SOURCE and TARGET mean: ids of node instances, or names of node templates at creation."""

    self_id: Optional[str] = None
    source_id: Optional[str] = None
    target_id: Optional[str] = None

    def of(self, word: str) -> Optional[str]:
        """Return the id behind SELF, SOURCE or TARGET."""
        return {"SELF": self.self_id, "SOURCE": self.source_id, "TARGET": self.target_id}.get(word)

    @property
    def own_id(self) -> Optional[str]:
        """The instance on whose behalf something is evaluated; it decides among several instances of a node."""
        return self.self_id or self.source_id


NO_SCOPE = Scope()

#: An entry of ``node_instances`` (id, node_id, index, relationships, scaling_groups), with ``runtime_properties``.
Instance = Mapping[str, Any]


class Storage(Protocol):
    """The facts of one living deployment; the engine implements it over the store, the manager over its models.

    A method returns what is known now and raises `KeyError` when the named thing does not exist.
    """

    def inputs(self) -> Mapping[str, Any]:
        """Return the deployment's inputs."""

    def node(self, name: str) -> Mapping[str, Any]:
        """Return a node's record of the plan; its ``properties`` are read."""

    def instance(self, instance_id: str) -> Instance:
        """Return one node instance."""

    def instances(self, node_name: str) -> Sequence[Instance]:
        """Return all instances of a node."""

    def secret(self, name: str) -> Any:
        """Return a secret's value; called only where values were asked for, never by the engine."""

    def capability(self, deployment_id: str, name: str) -> Any:
        """Return a capability of another deployment, evaluated."""

    def group_deployments(self, group_id: str) -> Sequence[str]:
        """Return the ids of the deployments in a deployment group."""

    def parent_deployment(self) -> str:
        """Return the id of the environment that this deployment stands in (label ``csys-obj-parent``)."""

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Return the deployment's labels."""

    def system_fact(self, subject: str, name: str) -> Any:
        """Return a fact of ``tenant`` (name) or ``deployment`` (id, name, blueprint, owner)."""

    def consumers(self) -> Sequence[Mapping[str, Any]]:
        """Return the deployments that depend on this one, as mappings with ``id`` and ``display_name``."""
