"""`Dispatcher`: the library's face, and what the command line and the manager build on.

::

    with Dispatcher(database="outrider.db", files="files", transport=broker.transport()) as dispatcher:
        dispatcher.create_blueprint("app", "blueprint.yaml")
        dispatcher.create_deployment("app-1", "app", inputs={"port": 8080})
        dispatcher.run("install", "app-1")
        print(dispatcher.outputs("app-1"))

Every method that starts or changes something writes it to the store and tells the engine of this process, if one runs;
any other dispatcher on the same store finds it there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from outrider.dispatcher import edited_inputs, planning, wishes
from outrider.dispatcher import why as explaining
from outrider.dispatcher.attempts import Files
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.clock import Clock, SystemClock
from outrider.dispatcher.deploying import BuildSource, Deployer, UpdateTarget
from outrider.dispatcher.engine import Engine, Services
from outrider.dispatcher.errors import Conflict, DecisionNeeded, NotFound
from outrider.dispatcher.files import ContentStore, local_ref
from outrider.dispatcher.host_agents import RESERVED, HostAgents, redeem_reserved, require_host_agents
from outrider.dispatcher.manager_access import ManagerAddress
from outrider.dispatcher.model import Model
from outrider.dispatcher.outputs import evaluated
from outrider.dispatcher.secrets import SecretStore, redeem_secrets, redeemable
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import Look
from outrider.dispatcher.store import attempts, decisions, events, executions, tasks
from outrider.dispatcher.store.blueprints import Blueprint
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.decisions import Decision
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Cancel, Execution
from outrider.dispatcher.store.tasks import DecisionKind
from outrider.dispatcher.waiting import Waiters, raise_for_status
from outrider.dispatcher.why import Reason
from outrider.dispatcher.workflows import get_workflow, require_available
from outrider.dispatcher.workflows.preview import PlannedOperation, planned_operations
from outrider.messaging import topology
from outrider.messaging.messages import FilesRef
from outrider.messaging.transport import Transport

Json = Mapping[str, Any]

TENANT = "default_tenant"


class Dispatcher:
    """Blueprints, deployments and executions; a context manager that runs an engine."""

    def __init__(  # noqa: PLR0913 - keyword-only; each is a part that a caller may bring
        self,
        *,
        database: Database | str,
        files: ContentStore | Path | str,
        transport: Transport,
        settings: EngineSettings | None = None,
        secrets: SecretStore | None = None,
        files_for: Files | None = None,
        build_source: BuildSource | None = None,
        host_agents: HostAgents | None = None,
        manager: ManagerAddress | None = None,
        clock: Clock | None = None,
        tenant: str = TENANT,
        dispatcher_id: str | None = None,
    ) -> None:
        """Open the store; the engine starts with `start` or ``with``.

        `files_for` tells an agent (by id) where to fetch files; the default is this machine's folder. `build_source`
        builds plugins that blueprints name by `source:`; `host_agents` is what it takes to put agents on hosts: without
        it, workflows that would do so are refused. `manager` is what operations that call the manager are told; without
        it they are refused. The caller closes `transport`, and `database` if it opened it.
        """
        self._owns_database = isinstance(database, str)
        self.database = Database(database) if isinstance(database, str) else database
        self.content = files if isinstance(files, ContentStore) else ContentStore(Path(files))
        self.settings = settings or EngineSettings()
        self.tenant = tenant
        self._transport = transport
        self._secrets = secrets
        self._host_agents = host_agents
        self._deployer = Deployer(self.database, self.content, secrets=secrets, build_source=build_source)
        local = local_ref(self.content)
        self._files_for: Files = files_for or (lambda _agent_id: local)
        services = Services(
            database=self.database,
            transport=transport,
            planner=planning.plan_execution,
            files=self._files_for,
            redeem=None if secrets is None and host_agents is None else self._redeem,
            host_agents=host_agents,
            manager=manager,
            clock=clock or SystemClock(),
        )
        self.engine = Engine(services, self.settings, dispatcher_id=dispatcher_id)
        self._waiters = Waiters(self.database)
        self.engine.on_end = self._ended
        #: Called after executions have ended, on the engine's thread; for who follows them in another process.
        self.on_end: Callable[[], None] = lambda: None

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Dispatcher:
        """Start the engine."""
        self.start_engine()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the engine; executions stay in the store and can be taken up again."""
        self.close()

    def start_engine(self) -> None:
        """Declare queues, and run executions from now on. Raises `MessagingError`."""
        self.engine.start()
        self.register_agent(self.settings.central_agent)

    def close(self) -> None:
        """Stop the engine and close what was opened here."""
        self.engine.stop()
        if self._owns_database:
            self.database.close()

    def files_for(self, agent_id: str) -> FilesRef:
        """Return where an agent fetches what `content` holds, by hash."""
        return self._files_for(agent_id)

    def register_agent(self, agent_id: str) -> None:
        """Declare an agent's queues, so that it can be sent operations. Raises `MessagingError`."""
        self._transport.declare(topology.agent_topology(agent_id))

    # -- blueprints and deployments -----------------------------------------------------------------------------------

    def create_blueprint(
        self, blueprint_id: str, path: Path | str, *, settings: BlueprintSettings | None = None
    ) -> Blueprint:
        """Read a blueprint and store it with the files beside it. Raises `BlueprintInvalid` with every mistake."""
        return self._deployer.create_blueprint(blueprint_id, Path(path), tenant=self.tenant, settings=settings)

    def create_deployment(
        self, deployment_id: str, blueprint_id: str, *, inputs: Json | None = None, details: Json | None = None
    ) -> Deployment:
        """Plan a deployment and store it. Raises `NotFound`, `AlreadyExists`, `DeploymentInvalid`."""
        return self._deployer.create_deployment(
            deployment_id, blueprint_id, inputs=inputs or {}, tenant=self.tenant, details=details
        )

    def check_hosts(self, execution: Execution, blueprint: Blueprint) -> None:
        """Raise `WorkflowUnavailable` if an execution would put agents on hosts, and none can be reached.

        `start` checks it too; this is for who wants to know before there is a deployment.
        """
        nodes = {node["name"]: node for node in (blueprint.plan or {}).get("nodes") or ()}
        if not execution.dry_run:
            require_host_agents(execution.workflow, nodes, self._host_agents)

    def outputs(self, deployment_id: str) -> dict[str, Any]:
        """Return a deployment's outputs, evaluated; one that cannot be evaluated says why in its place."""
        return self._values(deployment_id, "outputs")

    def capabilities(self, deployment_id: str) -> dict[str, Any]:
        """Return a deployment's capabilities, evaluated."""
        return self._values(deployment_id, "capabilities")

    def _values(self, deployment_id: str, section: str) -> dict[str, Any]:
        with self.database.read() as connection:
            return evaluated(connection, (self.tenant, deployment_id), section)

    # -- executions ---------------------------------------------------------------------------------------------------

    def start(
        self,
        workflow: str,
        deployment_id: str,
        parameters: Json | None = None,
        *,
        execution: Execution | None = None,
    ) -> Execution:
        """Start a workflow and return at once.

        `execution` carries what is rarely needed (force, queue, dry_run, scheduled_for, created_by, max_concurrency,
        wait_after_fail_seconds, details) in a record whose ids are filled in here. Raises `NotFound`,
        `ExecutionRunning`, and `WorkflowError` for an unknown workflow, parameters that do not fit, or a workflow that
        is not available on the deployment as it is (`force` overrides that).
        """
        asked = execution or Execution(id="", workflow=workflow)
        # A large deployment takes a while to read: nobody who writes has to wait for that.
        with self.database.read() as connection:
            model = Model.load(connection, (self.tenant, deployment_id), {})
        view = model.view()
        if not asked.dry_run:
            require_host_agents(workflow, view.nodes, self._host_agents)
        allow_custom = bool(asked.details.get("allow_custom_parameters"))
        get_workflow(workflow, parameters or {}, view, allow_custom=allow_custom)
        if not (asked.force or asked.queue or asked.scheduled_for is not None):
            # One that waits is judged by the deployment that it finds when its time has come.
            require_available(workflow, view)
        record = replace(
            asked,
            id=asked.id or str(uuid.uuid4()),
            workflow=workflow,
            tenant=self.tenant,
            deployment_id=deployment_id,
            blueprint_id=model.deployment.blueprint_id,
            parameters=parameters or {},
        )
        with self.database.begin() as connection:
            stored = executions.insert(connection, record, now=self.database.now(connection))
        self.look()
        return stored

    def plan_update(
        self,
        deployment_id: str,
        *,
        blueprint_id: str | None = None,
        inputs: Json | None = None,
        auto_correct_types: bool = False,
    ) -> UpdateTarget:
        """Return what `update` would make of a deployment, and the steps from here to there; changes nothing.

        Inputs that are not given stay; with `auto_correct_types`, texts are read as the types that the inputs declare.
        Raises `NotFound`, `DeploymentInvalid`. `UpdateTarget.parameters` is what `start("update", …)` needs of it.
        """
        return self._deployer.plan_update(
            deployment_id,
            blueprint_id=blueprint_id,
            inputs=inputs or {},
            tenant=self.tenant,
            auto_correct_types=auto_correct_types,
        )

    def update(
        self,
        deployment_id: str,
        *,
        blueprint_id: str | None = None,
        inputs: Json | None = None,
        parameters: Json | None = None,
        execution: Execution | None = None,
    ) -> Execution:
        """Start to move a deployment to another blueprint, or to other inputs, and return at once.

        Inputs that are not given stay; `parameters` are the workflow's own (skip_reinstall, reinstall_list …). Raises
        what `start` raises, and `DeploymentInvalid`.
        """
        wanted = self._update_parameters(deployment_id, blueprint_id, inputs, parameters)
        return self.start("update", deployment_id, wanted, execution=execution)

    def preview_update(
        self,
        deployment_id: str,
        *,
        blueprint_id: str | None = None,
        inputs: Json | None = None,
        parameters: Json | None = None,
    ) -> tuple[PlannedOperation, ...]:
        """Return the operations that `update` would run if none failed and nothing had drifted."""
        wanted = self._update_parameters(deployment_id, blueprint_id, inputs, parameters)
        with self.database.read() as connection:
            view = Model.load(connection, (self.tenant, deployment_id), {}).view()
        return planned_operations(get_workflow("update", wanted, view), view)

    def _update_parameters(
        self, deployment_id: str, blueprint_id: str | None, inputs: Json | None, parameters: Json | None
    ) -> Json:
        target = self.plan_update(deployment_id, blueprint_id=blueprint_id, inputs=inputs)
        return {**(parameters or {}), **target.parameters}

    def run(
        self,
        workflow: str,
        deployment_id: str,
        parameters: Json | None = None,
        *,
        timeout_seconds: float | None = None,
        execution: Execution | None = None,
    ) -> Execution:
        """Start a workflow and wait for it. Raises `ExecutionFailed`, `ExecutionCancelled`, `WaitExpired`."""
        started = self.start(workflow, deployment_id, parameters, execution=execution)
        return raise_for_status(self.wait(started.id, timeout_seconds=timeout_seconds))

    async def run_async(
        self,
        workflow: str,
        deployment_id: str,
        parameters: Json | None = None,
        *,
        timeout_seconds: float | None = None,
        execution: Execution | None = None,
    ) -> Execution:
        """Do as `run`, without blocking the event loop."""
        started = self.start(workflow, deployment_id, parameters, execution=execution)
        ended = await self._waiters.wait_async(started.id, timeout_seconds=timeout_seconds)
        return raise_for_status(ended)

    def _ended(self, execution_ids: Iterable[str]) -> None:
        self._waiters.ended(execution_ids)
        self.on_end()

    def wait(self, execution_id: str, *, timeout_seconds: float | None = None) -> Execution:
        """Return an execution once it has ended. Raises `WaitExpired`, `NotFound`."""
        return self._waiters.wait(execution_id, timeout_seconds=timeout_seconds)

    async def wait_async(self, execution_id: str, *, timeout_seconds: float | None = None) -> Execution:
        """Do as `wait`, without blocking the event loop."""
        return await self._waiters.wait_async(execution_id, timeout_seconds=timeout_seconds)

    def cancel(self, execution_id: str, kind: Cancel = Cancel.NORMAL, *, decided_by: str = "") -> Execution:
        """Ask for a cancel; `wait` tells when it is done. Raises `NotFound`, `Conflict`."""
        execution = wishes.cancel(self.database, execution_id, kind, decided_by=decided_by)
        self.look()
        return execution

    def look(self) -> None:
        """Have the engine of this process look into the store now: somebody else has written a wish there."""
        self.engine.inbox.put(Look())

    def resume(self, execution_id: str, *, force: bool = False, decided_by: str = "") -> Execution:
        """Let a failed or cancelled execution go on at its operations.

        Raises `NotFound`, `Conflict`, and `DecisionNeeded` while an operation may have run and nobody has decided about
        it; with `force`, such operations are tried again.
        """
        with self.database.begin() as connection:
            now = self.database.now(connection)
            open_questions = explaining.undecided(connection, execution_id)
            if open_questions and not force:
                named = "; ".join(f"{each.id}: {each.error}" for each in open_questions)
                raise DecisionNeeded(f"decide (retry, done or skip) before the resume about {named}")
            for each in explaining.unknown(connection, execution_id) if force else ():
                tasks.decide(
                    connection,
                    each.id,
                    {**(each.decision or {}), "kind": DecisionKind.RETRY.value, "attempt": each.attempt},
                )
            execution = executions.request_resume(connection, execution_id)
            decisions.append(
                connection,
                Decision(execution_id=execution_id, decision="resume", decided_by=decided_by, payload={"force": force}),
                now=now,
            )
        self.look()
        return execution

    def decide(
        self,
        task_id: str,
        kind: DecisionKind,
        *,
        inputs: Json | None = None,
        allow_new_inputs: bool = False,
        decided_by: str = "",
    ) -> None:
        """Say what the next resume does about an operation; `inputs` replace those of the blueprint.

        Raises `NotFound`, `Conflict` for an operation that is done, on which no resume would act, or for inputs with
        another decision than to retry, and `UnknownInputs` for those that the plan does not have for the operation,
        unless they are allowed: a function may take more than a blueprint writes.
        """
        if inputs and kind is not DecisionKind.RETRY:
            raise Conflict(f"inputs are for a retry: {kind.value} sends operation {task_id} nothing")
        payload: dict[str, Any] = {"kind": kind.value}
        if inputs is not None:
            payload["inputs"] = dict(inputs)
        if inputs and not allow_new_inputs:
            # The plan may be long, and a transaction that writes keeps others from writing.
            with self.database.read() as connection:
                edited_inputs.require_known(connection, tasks.get(connection, task_id), inputs)
        with self.database.begin() as connection:
            task = tasks.get(connection, task_id)
            if task.state in tasks.DONE:
                raise Conflict(f"operation {task_id} is {task.state.value}: there is nothing to decide about it")
            payload["attempt"] = task.attempt
            tasks.decide(connection, task_id, payload)
            decision = Decision(
                execution_id=task.execution_id,
                task_id=task_id,
                decision=kind.value,
                payload=payload,
                decided_by=decided_by,
            )
            decisions.append(connection, decision, now=self.database.now(connection))

    def execution(self, execution_id: str) -> Execution:
        """Return an execution as it is now; raises `NotFound`."""
        with self.database.read() as connection:
            return executions.get(connection, execution_id)

    def events(self, after: int = 0, *, execution_id: str | None = None, limit: int = 1000) -> list[Event]:
        """Return what was recorded after the event `after` (an `Event.id`), oldest first."""
        with self.database.read() as connection:
            return events.after(connection, after, execution_id=execution_id, limit=limit)

    def why(self, execution_id: str) -> list[Reason]:
        """Return what an execution waits for; raises `NotFound`."""
        with self.database.read() as connection:
            return explaining.why(connection, execution_id, self.settings, now=self.database.now(connection))

    # -- one operation ------------------------------------------------------------------------------------------------

    def start_operation(
        self, agent_id: str, plugin: Json, operation: str, inputs: Json | None = None, *, timeout: float | None = None
    ) -> Execution:
        """Send one operation to an agent, without a deployment, and return at once.

        `plugin` is an entry as blueprints have it (name, package_name, package_version …); `operation` is
        ``module.function``; `timeout` is in seconds.
        """
        (started,) = self.start_operations((agent_id,), plugin, operation, inputs, timeout=timeout)
        return started

    def start_operations(
        self,
        agent_ids: Sequence[str],
        plugin: Json,
        operation: str,
        inputs: Json | None = None,
        *,
        timeout: float | None = None,
    ) -> list[Execution]:
        """Send the same operation to many agents as `start_operation` does; one execution each, in their order."""
        # What was built of a source lies in this dispatcher's `content`; those elsewhere need not have it.
        owner = self.engine.member if plugin.get("built") else None
        stored = wishes.start_operations(
            self.database, agent_ids, plugin, operation, inputs, timeout=timeout, tenant=self.tenant, owner=owner
        )
        self.look()
        return stored

    def run_operation(
        self,
        agent_id: str,
        plugin: Json,
        operation: str,
        inputs: Json | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Run one operation on an agent now and return its value. Raises `ExecutionFailed`, `WaitExpired`."""
        started = self.start_operation(agent_id, plugin, operation, inputs, timeout=timeout_seconds)
        raise_for_status(self.wait(started.id, timeout_seconds=timeout_seconds))
        with self.database.read() as connection:
            found = attempts.of_execution(connection, started.id)
        if not found:
            raise NotFound("attempt of execution", started.id)
        return (found[-1].result or {}).get("value")

    def _redeem(self, tenant: str, listed: Iterable[str], requested: Iterable[str]) -> Mapping[str, Any]:
        allowed = tuple(listed)
        names = redeemable(allowed, requested)
        found = redeem_reserved(self._host_agents, [each for each in names if each.startswith(RESERVED)])
        others = [each for each in names if each not in found]
        if self._secrets is None or not others:
            return found
        return {**found, **redeem_secrets(self._secrets, tenant, listed=allowed, requested=others)}
