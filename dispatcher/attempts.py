"""Makes attempts: everything of a task is resolved and evaluated here, just before the attempt is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from outrider.dispatcher import builtin_operations, host_agents, narrate, plugin_choice
from outrider.dispatcher import operation as operations
from outrider.dispatcher.blueprint import FunctionFailed, evaluate, has_functions, has_markers, secret_names
from outrider.dispatcher.blueprint.functions.markers import protect
from outrider.dispatcher.context import operation_context, scope_of, secrets_of
from outrider.dispatcher.errors import OperationRefused
from outrider.dispatcher.facts import ModelFacts
from outrider.dispatcher.host_agents import HostAgents
from outrider.dispatcher.run import OpenAttempt, Predecessor, Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import jsontext
from outrider.dispatcher.store.attempts import AttemptState
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.graph import Task
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.errors import EncodeError
from outrider.messaging.messages import FilesRef, OperationTask, PluginRef
from outrider.messaging.transport import Outgoing
from outrider.messaging.writing import Written

#: Where an agent fetches files from, by its id.
Files = Callable[[str], FilesRef]

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt that is ready to be stored and sent."""

    opened: OpenAttempt
    row: dict[str, Any]
    outgoing: Outgoing


class AttemptMaker:
    """Turns tasks into attempts."""

    def __init__(self, settings: EngineSettings, files: Files, host_agents: HostAgents | None = None) -> None:
        self._settings = settings
        self._files = files
        self._host_agents = host_agents

    def plugin_of(self, turn: Turn, run: Run, operation: operations.Operation) -> PluginRef:
        """Return the plugin version that an operation needs; raises `OperationRefused`."""
        name = operation.record["plugin"]
        known = run.plugins.get(name)
        if known is None:
            built = {} if run.model is None else run.model.deployment.details.get("built_plugins", {})
            entry = operation.plugin or {"name": name}
            known = plugin_choice.choose(turn.connection, run.execution.tenant, entry, built)
            known = replace(known, details=Written(known.details))
            if run.model is not None and not known.builtin:
                known = replace(known, modules=plugin_choice.modules_of(name, run.model.nodes.values()))
            run.plugins[name] = known
        return known

    def files(self, agent_id: str) -> FilesRef:
        """Return where an agent fetches files from."""
        return self._files(agent_id)

    def agent_of(self, run: Run, task: Task, operation: operations.Operation) -> str:
        """Return which agent a task is for; raises `OperationRefused`."""
        return operations.agent_of(self._settings, run, task, operation)

    def prepare(
        self, turn: Turn, run: Run, position: int, operation: operations.Operation, *, agent_id: str, epoch: str | None
    ) -> Prepared:
        """Return the task's next attempt; raises `OperationRefused`."""
        graph, values = run.current, run.values
        task, number, task_id = graph.tasks[position], graph.attempts[position] + 1, graph.task_id(position)
        facts = None if run.model is None else ModelFacts(run.model, turn.connection)
        token = secrets.token_hex(16)
        policy = operations.policy(self._settings, run, task)
        before = run.predecessors.get(position)
        try:
            inputs = self._inputs(run, task, position, operation, facts)
            context = operation_context(
                run,
                task,
                facts,
                retries=graph.retries[position],
                max_retries=policy.max_retries,
            )
            names = values.secrets(inputs) | secrets_of(context, values)
            host_agents.refuse_reserved(names)
            plugin = self.plugin_of(turn, run, operation)
            function = builtin_operations.function_of(plugin, operation.implementation)
            extras = self._extras(turn, run, task, operation, plugin, function, agent_id=agent_id)
            if extras:
                context = replace(context, extras={**context.extras, **extras})
            message = OperationTask(
                attempt_id=f"{task_id}.{number}",
                task_id=task_id,
                execution_id=run.id,
                attempt_number=number,
                operation=function,
                plugin=plugin,
                context=context,
                inputs=inputs,
                token=token,
                files=self._files(agent_id),
                secrets=tuple(sorted(names | secret_names(extras))),
                timeout_seconds=operations.timeout_seconds(task, operation),
                start_window_seconds=self._settings.start_window_seconds,
                previous_attempt_id=_previous(task_id, number, before),
                journal_epoch=epoch,
                resumed=before is not None and before.interrupted,
                only_if_resumable=before is not None and before.leaves_open(policy),
                resources=run.resources,
                namespaces=_NOTHING if run.model is None else run.model.deployment.details.get("namespaces", _NOTHING),
            )
            body = encode(message)
        except (FunctionFailed, EncodeError, KeyError) as error:
            raise OperationRefused(f"{narrate.subject(task, task_id)} cannot be sent: {error}") from error
        hashed = token_hash(token)
        return Prepared(
            OpenAttempt(message.attempt_id, position, number, agent_id, hashed, AttemptState.SENDING),
            _row(turn, message, agent_id, body, hashed),
            outgoing(self._settings, agent_id, message.attempt_id, body),
        )

    def _extras(
        self,
        turn: Turn,
        run: Run,
        task: Task,
        operation: operations.Operation,
        plugin: PluginRef,
        function: str,
        *,
        agent_id: str,
    ) -> dict[str, Any]:
        """Return what the context gets on top where agents come onto hosts; only the central agent is given it."""
        installer = builtin_operations.is_installers(plugin, function)
        if agent_id != self._settings.central_agent:
            if installer:
                raise OperationRefused(f"{operation.implementation} runs on the central agent, not on {agent_id!r}")
            return {}
        asked = None if self._host_agents is None else host_agents.wanted(task, operation, installer=installer)
        if asked is None:
            return {}
        if host_agents.claim(turn, run, operation, asked, settings=self._settings):
            return asked.extras
        if asked.removes:
            # Of this host's agent there is nothing: it never got its name.
            return {"agent_name_taken": True}
        raise OperationRefused(
            f"the name {asked.name!r} is that of another host's agent, or the central one's: choose another "
            "service_name in agent_config"
        )

    def _inputs(
        self, run: Run, task: Task, position: int, operation: operations.Operation, facts: ModelFacts | None
    ) -> Mapping[str, Any]:
        """Return the inputs, evaluated; a secret stands as a reference."""
        inputs: Mapping[str, Any] = operation.record.get("inputs") or _NOTHING
        given = task.kwargs or position in run.edits
        if given:
            inputs = {**inputs, **(task.kwargs or {}), **run.edits.get(position, {})}
        elif not (known := run.values.of(inputs)).functions:
            return known.written
        if facts is not None and has_functions(inputs):
            # `evaluate` wraps what only looks like a reference to a secret.
            evaluated: Mapping[str, Any] = evaluate(inputs, scope=scope_of(task), storage=facts)
            return evaluated
        return protect(inputs) if has_markers(inputs) else inputs


def _previous(task_id: str, number: int, before: Predecessor | None) -> str | None:
    if before is not None:
        return before.attempt_id
    return f"{task_id}.{number - 1}" if number > 1 else None


def outgoing(settings: EngineSettings, agent_id: str, attempt_id: str, body: bytes) -> Outgoing:
    """Return the message of an attempt: durable, returned if the agent has no queue, and worthless after its window."""
    return Outgoing(
        topology.OPERATIONS,
        agent_id,
        body,
        mandatory=True,
        expires_seconds=settings.start_window_seconds,
        message_id=attempt_id,
    )


def token_hash(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _row(turn: Turn, message: OperationTask, agent_id: str, body: bytes, hashed: str) -> dict[str, Any]:
    return {
        "id": message.attempt_id,
        "task_id": message.task_id,
        "execution_id": message.execution_id,
        "number": message.attempt_number,
        "agent_id": agent_id,
        "token_hash": hashed,
        "state": AttemptState.SENDING.value,
        "applied": False,
        "body": body,
        "secrets": jsontext.dump(message.secrets) if message.secrets else None,
        "created_at": turn.stored_now,
        "property_sequence": 0,
    }
