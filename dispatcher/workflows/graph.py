"""The values that workflow planners produce and the engine runs: tasks, their dependencies, stages.

A planner is pure: it looks at a `DeploymentView` and returns a `TaskGraph`. The engine stores the graph, runs what is
ready, and never asks the planner again, except for the next stage and for the recovery of a subgraph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from outrider.dispatcher.workflows.view import DeploymentView


class TaskKind(str, Enum):
    """What has to be done for a task."""

    #: Runs on an agent.
    OPERATION = "operation"
    #: The dispatcher stores a node instance's state.
    SET_STATE = "set_state"
    #: The dispatcher records an event.
    EVENT = "event"
    #: Nothing: a point that others wait for.
    JOIN = "join"
    #: The workflow function of a plugin does it in its own process, and says when it is done.
    LOCAL = "local"
    #: The workflow `operation` of the deployments inside this one, with `kwargs`; the dispatcher starts it and waits.
    CHILDREN = "children"
    #: The dispatcher forgets what it keeps of the instance under the task's `record`.
    FORGET = "forget"


class Side(str, Enum):
    """The side of a relationship that executes an operation."""

    SOURCE = "source"
    TARGET = "target"


class Record(str, Enum):
    """Where the dispatcher keeps an operation's result besides the task: the instance's system properties."""

    STATUS = "status"
    #: What the last `heal` did to it, in the same form.
    HEAL = "heal"
    #: What an update has to bring (back) to life: kept until it lives, also for the update after one that failed.
    UPDATE = "unfinished_update"
    DRIFT = "configuration_drift"
    SOURCE_DRIFT = "source_relationships_configuration_drift"
    TARGET_DRIFT = "target_relationships_configuration_drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One step of a graph."""

    #: Unique and stable within the graph: ``<subgraph>.<step>``, readable.
    id: str
    kind: TaskKind
    #: Instance that it is about; for a relationship operation the relationship's source.
    instance: str | None = None
    #: Full interface name, such as ``cloudify.interfaces.lifecycle.create``.
    operation: str | None = None
    #: For a relationship operation: the executing side, the target instance, the relationship's place in the list
    #: of the source *node*'s relationships.
    side: Side | None = None
    target: str | None = None
    relationship: int | None = None
    #: Overrides of the operation's inputs.
    kwargs: Mapping[str, Any] | None = None
    #: Whether `kwargs` may override inputs that the plan gives (None: as the operation's plan says).
    allow_override: bool | None = None
    #: For SET_STATE.
    state: str | None = None
    #: For EVENT.
    message: str | None = None
    subgraph: str | None = None
    #: A failure is recorded, reported and then treated as a success.
    ignore_failure: bool = False
    #: A handler of the workflow function judges each failure, at once; it may have the task run again.
    handled: bool = False
    #: None: the operation's own, else the configuration's.
    max_retries: int | None = None
    retry_interval_seconds: float | None = None
    timeout_seconds: float | None = None
    #: Poll: run again after the retry interval until the result is truthy, however often.
    until_truthy: bool = False
    record: Record | None = None


#: A recovery without a limit: the rest of the failed subgraph is left out, and a later stage makes up for it.
LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """A group of tasks that fails as one and may be replaced as one."""

    id: str
    parent: str | None = None
    instance: str | None = None
    #: Name of the recovery to plan (see `Workflow.recover`) when it failed and retries are left.
    recovery: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGraph:
    """Tasks and what each waits for."""

    tasks: Mapping[str, Task]
    #: Task id → ids of the tasks that must have succeeded first. Absent = none.
    dependencies: Mapping[str, tuple[str, ...]]
    subgraphs: Mapping[str, Subgraph] = field(default_factory=dict)


class ChangeKind(str, Enum):
    """A change of the deployment's model that a stage makes in the store."""

    ADD_INSTANCES = "add_instances"
    REMOVE_INSTANCES = "remove_instances"
    UPDATE_INSTANCES = "update_instances"
    REPLACE_PLAN = "replace_plan"
    SET_SCALE = "set_scale"
    CLEAR_SYSTEM_PROPERTIES = "clear_system_properties"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """A change of the model, applied in the same transaction that begins or ends a stage."""

    kind: ChangeKind
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """What a stage does: changes, then the graph, then changes."""

    graph: TaskGraph
    before: tuple[ModelChange, ...] = ()
    after: tuple[ModelChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a workflow that is planned when the parts before it have ended (`reinstall`: uninstall, install)."""

    #: Name of the stored graph; stable, because a resumed execution finds its place by it.
    name: str
    plan: Callable[[DeploymentView], StagePlan]
    #: Run only if an earlier stage failed; the execution fails after it nevertheless (undo of a failed scale-out).
    on_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A built-in workflow with its parameters filled in."""

    name: str
    stages: tuple[Stage, ...]
    #: (recovery name, failed subgraph, view) → the graph that replaces the subgraph.
    #: Tasks outside that waited for a task of the failed subgraph then wait for all last tasks of the replacement.
    recover: Callable[[str, Subgraph, DeploymentView], TaskGraph] | None = None
    #: (interrupted task, view) → what a resumed execution runs before it sends the task again; None = nothing.
    prepare_resume: Callable[[Task, DeploymentView], TaskGraph | None] | None = None
    #: The plan's workflow whose function the function's task runs (see `brought`); None = there is no such task.
    function: str | None = None
