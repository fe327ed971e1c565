"""What is known of a built-in workflow before it is planned; the rows of `catalog.BUILT_IN`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outrider.dispatcher.workflows.graph import Workflow
from outrider.dispatcher.workflows.view import DeploymentView

Json = Mapping[str, Any]
Planner = Callable[[Json, DeploymentView], Workflow]

#: Filters that nearly every workflow takes; all given ones must match.
FILTERS: Json = {
    "type_names": {
        "type": "list",
        "item_type": "string",
        "default": [],
        "description": "Only instances of nodes of these types, or of types derived from them",
    },
    "node_ids": {
        "type": "list",
        "item_type": "string",
        "default": [],
        "description": "Only instances of these nodes",
    },
    "node_instance_ids": {
        "type": "list",
        "item_type": "string",
        "default": [],
        "description": "Only these instances",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a workflow may be started, in the words of a blueprint's ``availability_rules``."""

    #: Some of ``all``, ``partial``, ``none``: how many of the deployment's instances are installed.
    node_instances_active: tuple[str, ...] = ("all", "partial", "none")
    #: The deployment needs a node of one of these types.
    node_types_required: tuple[str, ...] = ()
    available: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A built-in workflow."""

    name: str
    description: str
    plan: Planner
    #: In the form that a blueprint's ``workflows`` section has.
    parameters: Json = field(default_factory=dict)
    rules: Rules = Rules()
