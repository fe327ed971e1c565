"""The values that dispatcher and agents exchange: one frozen dataclass per message.

Times travel as durations in seconds (`float`), never as wall-clock instants, because hosts' clocks differ; the
exceptions are log records (`LogRecord.time`, shown to people) and nothing else. Mappings hold JSON values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional, Union

from outrider.messaging.verdicts import Proof as Proof  # noqa: PLC0414 - told from here, too
from outrider.messaging.verdicts import Verdict as Verdict  # noqa: PLC0414 - as above

Json = Mapping[str, Any]


class Mode(str, Enum):
    """How a plugin's operations get their process."""

    FORK = "fork"
    SPAWN = "spawn"


@dataclass(frozen=True)
class WagonRef:
    """One candidate archive of a plugin version; the agent takes the one that fits its Python and platform."""

    filename: str
    sha256: str
    size_bytes: int
    #: Wheel tags that the archive was built for, such as ``cp311-cp311-manylinux_2_17_x86_64``; empty = any.
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PluginRef:
    """The plugin that an operation lives in."""

    name: str
    version: str
    wagons: tuple[WagonRef, ...] = ()
    #: Comes with the agent (`script`, `agent`): no wagon is installed.
    builtin: bool = False
    mode: Mode = Mode.FORK
    #: What ``ctx.plugin`` shows of the blueprint's plugin entry: package_name, source, properties ….
    details: Json = field(default_factory=dict)
    #: Modules of the plugin that the deployment's operations live in: imported once, before the first of them runs.
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class RelatedInstance:
    """What an operation may see of an instance that its own one has a relationship to (read-only)."""

    type: str
    type_hierarchy: tuple[str, ...]
    target_node: str
    target_instance: str
    target_node_type: str = ""
    target_type_hierarchy: tuple[str, ...] = ()
    target_properties: Json = field(default_factory=dict)
    target_runtime_properties: Json = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceContext:
    """A node and one of its instances, as an operation sees them (intrinsic functions already evaluated)."""

    node: str
    type: str
    type_hierarchy: tuple[str, ...]
    properties: Json
    instance: str
    runtime_properties: Json
    #: The stored version that `runtime_properties` were read at.
    version: int
    index: int = 1
    host_instance: Optional[str] = None
    host_ip: Optional[str] = None
    relationships: tuple[RelatedInstance, ...] = ()
    scaling_groups: tuple[Json, ...] = ()
    system_properties: Json = field(default_factory=dict)


@dataclass(frozen=True)
class OperationContext:
    """Where an operation runs: becomes ``ctx``. Either `node`, or `source` and `target`, or none (deployment)."""

    operation: str
    workflow: str
    deployment: str
    blueprint: str
    tenant: str = "default_tenant"
    retry_number: int = 0
    max_retries: int = 60
    #: For a relationship operation, which side executes: ``source`` or ``target``.
    relationship_side: Optional[str] = None
    node: Optional[InstanceContext] = None
    source: Optional[InstanceContext] = None
    target: Optional[InstanceContext] = None
    #: display_name, creator, resource_tags, runtime_only_evaluation … of the deployment.
    deployment_details: Json = field(default_factory=dict)
    workflow_parameters: Json = field(default_factory=dict)
    #: bootstrap_context, provider_context, execution creator …: whatever an interface may ask for.
    extras: Json = field(default_factory=dict)


@dataclass(frozen=True)
class FilesRef:
    """Where an agent fetches wagons and blueprint resources by hash.

    `url` is ``http(s)://host:port/files`` (answered by `dispatcher.files`, with `token` as bearer) or
    ``file:///folder``, the content-addressed folder itself, for an agent on the dispatcher's machine.
    """

    url: str
    token: str = ""
    #: PEM of the authority that signed the endpoint's certificate, if it is not a public one.
    ca_pem: Optional[str] = None


@dataclass(frozen=True)
class OperationTask:
    """Dispatcher → agent: run this operation, at most once per `attempt_id`."""

    attempt_id: str
    task_id: str
    execution_id: str
    #: 1 for the first try.
    attempt_number: int
    #: ``module.function`` inside the plugin.
    operation: str
    plugin: PluginRef
    context: OperationContext
    #: Keyword arguments; a secret stands as ``{"$secret": "name"}`` or ``{"$secret": "name", "path": […]}``.
    inputs: Json
    #: Proves to the dispatcher that a result, an update or a request belongs to this attempt.
    token: str
    files: FilesRef
    #: Names of the secrets that `inputs` and `context` refer to, to be redeemed just before the start.
    secrets: tuple[str, ...] = ()
    timeout_seconds: Optional[float] = None
    #: How long after its publishing the attempt may still start.
    start_window_seconds: float = 600.0
    #: The attempt that this one replaces: its process tree is proven empty first; if it has a result, that is sent
    #: instead.
    previous_attempt_id: Optional[str] = None
    #: The agent refuses a task meant for another epoch of its journal.
    journal_epoch: Optional[str] = None
    #: An earlier attempt of the operation may have run, in part or as a whole.
    resumed: bool = False
    #: Run the operation only if its function is declared resumable; otherwise answer `never_started` with an error of
    #: the type ``NotResumable``. Nobody was asked whether it may run again.
    only_if_resumable: bool = False
    #: Hash of the manifest (path → sha256) of the blueprint's resources, if it has any.
    resources: Optional[str] = None
    #: Hashes of further manifests by namespace prefix, for imported blueprints.
    namespaces: Json = field(default_factory=dict)


@dataclass(frozen=True)
class OperationError:
    """Why an operation failed."""

    type: str
    message: str
    traceback: str = ""
    #: Each ``{"type": …, "message": …, "traceback": …}``.
    causes: tuple[Json, ...] = ()
    recoverable: bool = True
    retry_after_seconds: Optional[float] = None
    #: Of the program that the operation ran, where it failed because that ended with one; negative: by that signal.
    exit_code: Optional[int] = None


@dataclass(frozen=True)
class PropertyChange:
    """Changes of one instance's runtime properties, by top-level key; merged into what is stored."""

    instance: str
    set: Json
    delete: tuple[str, ...]
    #: The stored version that the operation had read.
    base_version: int
    #: The number of the update in which the change was made; a change is applied once.
    sequence: int
    #: The operation assigned the whole mapping: keys not in `set` are removed.
    replace: bool = False


@dataclass(frozen=True)
class Durations:
    """Where an attempt's time went, in seconds, by the agent's monotonic clock; None = did not happen."""

    #: From receipt to the first step of the preparation.
    queued: Optional[float] = None
    #: Fetching the wagon and installing the plugin's environment.
    install: Optional[float] = None
    #: Starting the runner (importing the plugin) and handing over to a waiting child.
    start: Optional[float] = None
    #: Inside the operation's process.
    run: Optional[float] = None
    #: From the operation's end to the publishing of the result.
    report: Optional[float] = None


@dataclass(frozen=True)
class Usage:
    """What the operation's processes used."""

    cpu_seconds: Optional[float] = None
    peak_memory_bytes: Optional[int] = None


@dataclass(frozen=True)
class OperationResult:
    """Agent → dispatcher: how an attempt ended. Sent until confirmed; recorded once."""

    attempt_id: str
    task_id: str
    execution_id: str
    agent_id: str
    token: str
    verdict: Verdict
    value: Any = None
    error: Optional[OperationError] = None
    durations: Durations = Durations()
    usage: Usage = Usage()
    #: Number of the last `OperationUpdate` record of this attempt; 0 = there is none.
    last_sequence: int = 0
    #: All property changes of the attempt, so that successors need not wait for the updates' queue.
    properties: tuple[PropertyChange, ...] = ()
    proof: Proof = Proof.NONE
    #: The last bytes of what the operation printed, for a person who looks at a failure.
    stdout_tail: str = ""
    stderr_tail: str = ""
    journal_epoch: Optional[str] = None


@dataclass(frozen=True)
class LogRecord:
    """A line that the operation logged."""

    sequence: int
    #: Seconds since the epoch by the host's clock.
    time: float
    level: str
    logger: str
    message: str


@dataclass(frozen=True)
class EventRecord:
    """An event that the operation sent (`ctx.send_event`)."""

    sequence: int
    time: float
    event_type: str
    message: str


@dataclass(frozen=True)
class OperationUpdate:
    """Agent → dispatcher: what a running attempt logged, sent or changed; records are numbered from 1 per attempt."""

    attempt_id: str
    task_id: str
    execution_id: str
    agent_id: str
    token: str
    logs: tuple[LogRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    properties: tuple[PropertyChange, ...] = ()


@dataclass(frozen=True)
class AgentHeartbeat:
    """Agent → dispatcher: I live, and these attempts are mine. Renews the leases of the attempts that it names."""

    agent_id: str
    machine_id: str
    boot_id: str
    #: Random per agent process: two of one id at once are two agents.
    process_id: str
    version: str
    python: str
    platform: str
    #: The agent's boot-time clock when this was sent; dispatchers compare it with earlier ones of the same boot.
    clock_seconds: float
    interval_seconds: float
    journal_epoch: str
    journal_sequence: int
    accepted: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    #: Finished attempts whose results wait in the spool.
    reporting: tuple[str, ...] = ()
    slots: int = 0
    #: ``running``, ``draining``, ``backlog-full``, ``disk-full``: whether and why not it takes tasks.
    state: str = "running"
    #: What attempts are doing, for `why`: attempt id → ``installing plugin …``, ``waiting for a slot`` ….
    doing: Json = field(default_factory=dict)
    load: Json = field(default_factory=dict)
    #: Best wheel tags first; abbreviated to what tells one host from another.
    tags: tuple[str, ...] = ()
    host: Json = field(default_factory=dict)
    #: The journal's sequence when this process opened it, before it wrote anything itself.
    journal_opened: Optional[int] = None


#: The reserved name by which a running operation asks, as if for a secret, how to reach the manager's REST API.
MANAGER_ACCESS = "outrider:manager"


class ControlKind(str, Enum):
    """What a control request asks for."""

    # Dispatcher → agent.
    PING = "ping"
    CANCEL = "cancel"
    DRAIN = "drain"
    UPGRADE = "upgrade"
    EXPLAIN = "explain"
    #: The end of what the agent itself logged.
    LOGS = "logs"
    #: Install and import a plugin: operations that need it will come.
    PREPARE = "prepare"
    # Agent → dispatcher.
    REDEEM_SECRETS = "redeem_secrets"
    NEW_EPOCH = "new_epoch"
    #: What a plugin's workflow function asks of the dispatcher that runs its execution.
    WORKFLOW = "workflow"


@dataclass(frozen=True)
class ControlRequest:
    """Both ways: a question that is answered at once or not at all; never durable."""

    request_id: str
    kind: ControlKind
    agent_id: str
    #: The routing key that the reply goes to.
    reply_to: str
    attempt_id: Optional[str] = None
    token: str = ""
    payload: Json = field(default_factory=dict)


@dataclass(frozen=True)
class ControlReply:
    """The answer to a `ControlRequest`."""

    request_id: str
    agent_id: str
    ok: bool
    payload: Json = field(default_factory=dict)
    error: Optional[str] = None


Message = Union[OperationTask, OperationResult, OperationUpdate, AgentHeartbeat, ControlRequest, ControlReply]
