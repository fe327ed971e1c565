"""What a workflow planner may look at: a deployment's nodes and instances as values, read in one go from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRelationship:
    """One relationship of an instance."""

    target_instance: str
    target_node: str
    type: str
    #: Place of the relationship in the list of the source node's relationships in the plan.
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """A node instance."""

    id: str
    node: str
    state: str = "uninitialized"
    host: str | None = None
    index: int = 1
    relationships: tuple[InstanceRelationship, ...] = ()
    scaling_groups: tuple[Json, ...] = ()
    runtime_properties: Json = field(default_factory=dict)
    system_properties: Json = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """A deployment at one moment."""

    id: str
    #: Node name → the node's record in the plan (the reference's shape, see `dispatcher.blueprint`).
    nodes: Mapping[str, Json]
    instances: Mapping[str, InstanceView]
    #: Name → scaling group of the plan.
    scaling_groups: Mapping[str, Json] = field(default_factory=dict)
    #: The whole deployment plan, for what the fields above do not say.
    plan: Json = field(default_factory=dict)
    #: Workflow configuration: task_retries, task_retry_interval, subgraph_retries ….
    config: Json = field(default_factory=dict)
