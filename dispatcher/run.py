"""An execution that this dispatcher runs: what it holds in memory. `progress` moves it, `recovery` restores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outrider.dispatcher.graph_run import GraphRun
from outrider.dispatcher.model import Model
from outrider.dispatcher.plan_values import PlanValues
from outrider.dispatcher.retries import UNKNOWN, Policy
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.store.executions import Cancel, Execution
from outrider.dispatcher.workflows.graph import ModelChange, Subgraph, Workflow
from outrider.messaging.messages import PluginRef, Verdict


@dataclass(slots=True)
class OpenAttempt:
    """An attempt without a verdict."""

    id: str
    position: int
    number: int
    agent_id: str
    token_hash: str
    state: AttemptState
    property_sequence: int = 0


@dataclass(slots=True)
class Unstarted:
    """Attempts of one task that never started, in a row."""

    times: int
    since: float


@dataclass(slots=True)
class Predecessor:
    """The last attempt of a task that did not end as `never started`; a new attempt has to name it."""

    attempt_id: str
    agent_id: str
    verdict: Verdict
    #: Why the task was not done with it, for whoever has to decide.
    words: str
    #: Engine's time from which on it has not been known whether the operation ran.
    since: float
    #: A person has decided that the operation may run again.
    permitted: bool = False
    #: It was cut off: the operation may find the half of its own work.
    interrupted: bool = False

    def leaves_open(self, policy: Policy) -> bool:
        """Return whether only an operation that is declared resumable may run now."""
        return self.verdict in UNKNOWN and not (self.permitted or policy.idempotent)


@dataclass(slots=True, eq=False)
class Run:
    """The state of one execution."""

    execution: Execution
    workflow: Workflow
    #: None: an execution without a deployment.
    model: Model | None
    #: Hash of the manifest of the blueprint's resources.
    resources: str | None = None
    #: Place of the current stage, and its graph; None between stages.
    stage: int = -1
    graph: GraphRun | None = None
    #: Model changes to make when the stage ends.
    after: tuple[ModelChange, ...] = ()
    open: dict[str, OpenAttempt] = field(default_factory=dict)
    unstarted: dict[int, Unstarted] = field(default_factory=dict)
    #: Position → inputs that a person edited.
    edits: dict[int, dict[str, object]] = field(default_factory=dict)
    #: Positions of tasks that are tried again → the attempt that the next one names.
    predecessors: dict[int, Predecessor] = field(default_factory=dict)
    #: Plugin name → the version that this execution settled on; a newer upload does not change it on the way.
    plugins: dict[str, PluginRef] = field(default_factory=dict)
    #: Subgraphs that failed and are replaced as soon as nothing of them runs, and all their tasks.
    recovering: dict[str, Subgraph] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    #: What `operation.find` found, by what it looked for; a stage may change the plan for the next one.
    operations: dict[tuple[object, ...], tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    policies: dict[tuple[object, ...], Policy] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    #: An earlier stage failed; stages for that case run, and the execution fails in the end.
    stage_failed: bool = False
    #: Engine's time of the first failure of this stage, and of the cancel's arrival.
    failed_at: float | None = None
    cancel: Cancel | None = None
    cancelled_at: float | None = None
    #: It does nothing but wait for the executions of the deployments inside, see `children`.
    leads: bool = False
    finished_operations: int = 0
    total_operations: int = 0
    #: The time that running operations get after a failure or a cancel is over.
    given_up: bool = False
    ended: bool = False

    @property
    def id(self) -> str:
        """The execution's id."""
        return self.execution.id

    @property
    def values(self) -> PlanValues:
        """What is known of the plan's values; without a deployment there is one operation, and nothing is kept."""
        return PlanValues() if self.model is None else self.model.values

    @property
    def stopping(self) -> bool:
        """Whether nothing new is to start."""
        return self.cancel is not None or self.given_up

    @property
    def current(self) -> GraphRun:
        """The graph of the current stage."""
        if self.graph is None:
            raise LookupError(f"execution {self.id} is between two stages")
        return self.graph
