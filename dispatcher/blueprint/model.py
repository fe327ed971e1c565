"""The typed model: what a blueprint says, with types derived and references checked, before it becomes a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from outrider.dispatcher.blueprint.located import Map, Mark
from outrider.dispatcher.blueprint.operations import Interfaces


@dataclass(frozen=True)
class NodeType:
    """A node type with everything that its parents say."""

    name: str
    #: Root first, the type itself last.
    hierarchy: tuple[str, ...]
    properties: Mapping[str, Any]
    interfaces: Interfaces
    parent: Optional[str] = None
    at: Optional[Mark] = None


@dataclass(frozen=True)
class RelationshipType:
    """A relationship type with everything that its parents say."""

    name: str
    hierarchy: tuple[str, ...]
    properties: Mapping[str, Any]
    source_interfaces: Interfaces
    target_interfaces: Interfaces
    parent: Optional[str] = None
    at: Optional[Mark] = None


@dataclass(frozen=True)
class Relationship:
    """One relationship of a node template."""

    type: RelationshipType
    target: str
    properties: Mapping[str, Any]
    source_interfaces: Interfaces
    target_interfaces: Interfaces
    at: Optional[Mark] = None

    @property
    def contains(self) -> bool:
        """Whether the source is contained in the target."""
        return "cloudify.relationships.contained_in" in self.type.hierarchy


@dataclass(frozen=True)
class NodeTemplate:
    """One node template; its values are complete and its operations merged."""

    name: str
    type: NodeType
    properties: Mapping[str, Any]
    interfaces: Interfaces
    relationships: tuple[Relationship, ...]
    #: default_instances, min_instances, max_instances; numbers or functions.
    scalable: Mapping[str, Any]
    #: The older form, shown in the plan as it was written.
    instances: Mapping[str, Any]
    #: Whether the template says anything about its operations itself.
    own_interfaces: bool
    at: Optional[Mark] = None

    @property
    def container(self) -> Optional[str]:
        """The node template that this one is contained in."""
        return next((item.target for item in self.relationships if item.contains), None)


@dataclass(frozen=True)
class Plugin:
    """One entry of ``plugins``, as the plan shows it."""

    name: str
    record: Mapping[str, Any]
    at: Optional[Mark] = None

    @property
    def executor(self) -> str:
        """Where its operations run by default."""
        return str(self.record["executor"])


@dataclass(frozen=True)
class Model:
    """A whole blueprint."""

    sections: Map
    data_types: Mapping[str, Mapping[str, Any]]
    node_types: Mapping[str, NodeType]
    relationship_types: Mapping[str, RelationshipType]
    plugins: Mapping[str, Plugin]
    node_templates: Mapping[str, NodeTemplate]
    #: Node template -> the Compute node that it is, or is contained in.
    hosts: Mapping[str, str] = field(default_factory=dict)
