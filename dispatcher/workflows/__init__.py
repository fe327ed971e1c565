"""Planners of the built-in workflows: they look at a deployment as a value and return task graphs as values.

The engine, the command line (`blueprint plan`) and the manager call `get_workflow` and `availability`; nothing in
here talks to a store, a broker or a clock.
"""

from outrider.dispatcher.workflows.availability import Availability, availability, require_available
from outrider.dispatcher.workflows.catalog import BUILT_IN, get_workflow
from outrider.dispatcher.workflows.definition import Definition, Rules
from outrider.dispatcher.workflows.errors import (
    ParameterError,
    PlanError,
    UnknownWorkflowError,
    WorkflowError,
    WorkflowUnavailable,
)
from outrider.dispatcher.workflows.graph import (
    ChangeKind,
    ModelChange,
    Record,
    Side,
    Stage,
    StagePlan,
    Subgraph,
    Task,
    TaskGraph,
    TaskKind,
    Workflow,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceRelationship, InstanceView

__all__ = [
    "BUILT_IN",
    "Availability",
    "ChangeKind",
    "Definition",
    "DeploymentView",
    "InstanceRelationship",
    "InstanceView",
    "ModelChange",
    "ParameterError",
    "PlanError",
    "Record",
    "Rules",
    "Side",
    "Stage",
    "StagePlan",
    "Subgraph",
    "Task",
    "TaskGraph",
    "TaskKind",
    "UnknownWorkflowError",
    "Workflow",
    "WorkflowError",
    "WorkflowUnavailable",
    "availability",
    "get_workflow",
    "require_available",
]
