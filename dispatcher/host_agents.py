"""Agents on the hosts of deployments: what the engine knows of how they get there.

The built-in plugin `agent` does the work, on the central agent (`outrider.installer.plugin`). It needs access to the
broker, and a host that brings its agent itself needs a script with a token. Neither may lie in the store or in a
durable message, so they travel like secrets, under names that no blueprint can use: an attempt names them, and its
agent redeems them just before the start. Whoever composes a dispatcher brings the `HostAgents` that makes their values;
without a broker there is none, and workflows that would install agents are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from outrider.dispatcher.blueprint.functions.markers import secret_marker
from outrider.dispatcher.errors import NotFound, OperationRefused
from outrider.dispatcher.files.errors import EnrolmentRefused
from outrider.dispatcher.operation import Operation
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store import agents, instances
from outrider.dispatcher.store.agents import Agent
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.errors import WorkflowUnavailable
from outrider.dispatcher.workflows.graph import Task
from outrider.dispatcher.workflows.lifecycle import DELETED, UNINITIALIZED
from outrider.dispatcher.workflows.topology import AGENT, LIFECYCLE, NO_AGENT, agent_config, install_method, is_host
from outrider.dispatcher.workflows.view import InstanceView

Json = Mapping[str, Any]

#: Begins the names of what is redeemed like a secret and is none of the users'.
RESERVED = "outrider:"
INSTALLER_ACCESS = f"{RESERVED}installer:"
INIT_SCRIPT = f"{RESERVED}init-script:"
#: Hosts that run a script at their first boot; of `provided` ones somebody else takes care.
SCRIPTED = frozenset({"init_script", "plugin"})
_METHODS = SCRIPTED | {"remote", "provided"}
#: Workflows that may put an agent on a host, or talk to one.
NEEDING_AGENTS = frozenset({"install", "reinstall", "scale", "heal", "update", "install_new_agents", "validate_agents"})
#: While these run, the host is being made: its user data may be asked for.
MAKING = frozenset(f"{LIFECYCLE}.{name}" for name in ("precreate", "create", "configure", "start"))
_CREATING = frozenset(f"{LIFECYCLE}.{name}" for name in ("precreate", "create"))
#: What of a host's configuration the agent that it brings itself is told.
_TOLD = (
    "max_workers", "min_workers", "heartbeat", "env", "executable_temp_path", "log_level", "process_management",
)  # fmt: skip
#: The installer's operations that take an agent away.
_REMOVING = frozenset(f"cloudify_agent.installer.operations.{name}" for name in ("stop", "delete"))
_LONGEST_NAME = 100


class HostAgents(Protocol):
    """Makes what the installation of agents needs. Called from the engine's thread: it must not wait for others."""

    def installer_access(self, agent_id: str) -> Json:
        """Return what `outrider.installer.access` reads: broker, bundle, settings of agents, files for this one."""

    def init_script(self, agent_id: str) -> str:
        """Return the user data with which a host fetches and starts the agent of this id."""


def agent_name(node: Json, instance_id: str) -> str:
    """Return the id of a host's agent: the ``service_name`` of its configuration, else its instance's id."""
    given = agent_config(node).get("service_name")
    name = given if isinstance(given, str) and given else instance_id
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:_LONGEST_NAME]


def require_host_agents(workflow: str, nodes: Mapping[str, Json], host_agents: HostAgents | None) -> None:
    """Raise `WorkflowUnavailable` if a workflow would need agents on hosts, and there is no broker to reach them by.

    `nodes` are records of the plan by name. A method that is only known once inputs are is left for later.
    """
    if host_agents is not None or workflow not in NEEDING_AGENTS:
        return
    wanting = {name: install_method(node) for name, node in nodes.items() if is_host(node)}
    named = ", ".join(f"{name} ({method})" for name, method in sorted(wanting.items()) if method in _METHODS)
    if named:
        raise WorkflowUnavailable(
            f"the blueprint wants agents on hosts, and there is no broker to reach them by: {named}. "
            "Set broker_urls and broker_management_url, run `outrider broker setup`, then this again; or give these "
            "nodes agent_config: {install_method: none}"
        )


def refuse_reserved(names: Collection[str]) -> None:
    """Raise `OperationRefused` if inputs or properties refer to what is not for blueprints."""
    found = sorted(name for name in names if name.startswith(RESERVED))
    if found:
        raise OperationRefused(f"names of secrets cannot begin with {RESERVED!r}: {', '.join(found)}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operation has to do with the agent of its host."""

    name: str
    #: An operation of the installer, and which; None: one that makes the host, which may ask for its user data.
    installs: str | None
    #: It makes the machine: an agent of this name that was heard of before was that of the one which this replaces.
    anew: bool = False

    @property
    def extras(self) -> dict[str, Any]:
        """What the operation's context gets on top: references to what its agent redeems."""
        if self.installs is None:
            return {"agent_init_script": secret_marker(f"{INIT_SCRIPT}{self.name}", [])}
        return {"agent_name": self.name, "installer_access": secret_marker(f"{INSTALLER_ACCESS}{self.name}", [])}

    @property
    def removes(self) -> bool:
        """Whether it takes the agent away."""
        return self.installs in _REMOVING


def wanted(task: Task, operation: Operation, *, installer: bool) -> Wanted | None:
    """Return what an operation on the central agent has to do with its host's agent; None: nothing.

    `installer`: it is one of the installer's own operations.
    """
    if operation.node is None or operation.instance is None or not is_host(operation.node):
        return None
    name = agent_name(operation.node, operation.instance.id)
    if installer:
        return Wanted(name, operation.implementation)
    if install_method(operation.node) in SCRIPTED and task.operation in MAKING:
        return Wanted(name, None, anew=task.operation in _CREATING)
    return None


def redeem_reserved(host_agents: HostAgents | None, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of reserved names; the caller has checked that the attempt may have them."""
    found: dict[str, Any] = {}
    if host_agents is None:
        return found
    for name in names:
        if name.startswith(INSTALLER_ACCESS):
            found[name] = dict(host_agents.installer_access(name.removeprefix(INSTALLER_ACCESS)))
        elif name.startswith(INIT_SCRIPT):
            found[name] = host_agents.init_script(name.removeprefix(INIT_SCRIPT))
    return found


def claim(turn: Turn, run: Run, operation: Operation, asked: Wanted, *, settings: EngineSettings) -> bool:
    """Record that an agent is to be that of an instance; False: it is another's, and nothing may be done to it.

    Only a recorded agent may enrol (`check_enrolment`). An agent that somebody provided belongs to nobody.
    """
    node, instance = operation.node, operation.instance
    if node is None or instance is None or run.model is None or install_method(node) == "provided":
        return True
    if asked.name == settings.central_agent:
        # Heard of or not: a host of that name would get what only the manager's own agent may see and do.
        return False
    known = agents.by_ids(turn.connection, [asked.name]).get(asked.name)
    ours = known is not None and (known.tenant, known.deployment_id, known.instance) == (*run.model.key, instance.id)
    if known is not None and not ours and _is_taken(turn, known, settings.lease_seconds):
        return False
    if not asked.removes and (not ours or asked.anew):
        fresh = Agent(id=asked.name, state="creating", created_at=turn.stored_now)
        agents.save(turn.connection, _described(fresh, run, node, instance))
    return True


def _is_taken(turn: Turn, known: Agent, lease_seconds: float) -> bool:
    """Tell whether an agent belongs to an instance that lives, or, where it belongs to none, is alive itself."""
    if known.instance is not None and known.deployment_id is not None:
        try:
            owner = instances.get(turn.connection, (known.tenant, known.deployment_id), known.instance)
        except NotFound:
            return False
        return owner.state not in (UNINITIALIZED, DELETED)
    return known.last_seen_at is not None and turn.stored_now - known.last_seen_at < lease_seconds


def check_enrolment(connection: Connection, agent_id: str) -> Agent:
    """Return the agent that a host is expected to bring, and has not brought yet. Raises `EnrolmentRefused`."""
    known = agents.by_ids(connection, [agent_id]).get(agent_id)
    if known is None or known.instance is None:
        raise EnrolmentRefused(f"no host is expected to bring the agent {agent_id!r} (any more)")
    if known.last_seen_at is not None:
        raise EnrolmentRefused(f"the agent {agent_id!r} reports already: it cannot be installed a second time")
    return known


def check_known(connection: Connection, agent_id: str) -> None:
    """Raise `EnrolmentRefused` for an agent that nobody has heard of: there is nothing to be renewed."""
    known = agents.by_ids(connection, [agent_id]).get(agent_id)
    if known is None or known.last_seen_at is None:
        raise EnrolmentRefused(f"the agent {agent_id!r} was never heard of")


def note_success(connection: Connection, run: Run, task: Task, *, now: float) -> None:
    """Keep the table of agents in step with what the installer's operations have done."""
    instance = None if run.model is None else run.model.instances.get(task.instance or "")
    if run.model is None or instance is None:
        return
    node = run.model.nodes[instance.node]
    if task.operation == f"{AGENT}.create" and install_method(node) != NO_AGENT:
        name = str((instance.runtime_properties.get("cloudify_agent") or {}).get("name") or "")
        if name:
            known = agents.by_ids(connection, [name]).get(name) or Agent(id=name, state="creating", created_at=now)
            agents.save(connection, _described(known, run, node, instance))
    elif task.operation == f"{AGENT}.delete":
        if install_method(node) == "provided":
            agents.release_of_instance(connection, run.model.key, instance.id)
        else:
            agents.delete_of_instance(connection, run.model.key, instance.id)


def _described(agent: Agent, run: Run, node: Json, instance: InstanceView) -> Agent:
    recorded: Json = instance.runtime_properties.get("cloudify_agent") or {}
    details = {
        "install_method": install_method(node),
        "node": instance.node,
        "agent_config": {name: value for name in _TOLD if (value := agent_config(node).get(name)) is not None},
        **{name: recorded[name] for name in ("ip", "version", "system") if recorded.get(name)},
    }
    return replace(
        agent,
        tenant=run.execution.tenant,
        deployment_id=run.execution.deployment_id,
        instance=instance.id,
        details={**agent.details, **details},
    )
