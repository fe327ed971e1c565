"""The life of an instance: the install chain and the uninstall chain, as tables of steps.

Every workflow that creates or destroys something uses these two (install, uninstall, reinstall, heal, scale, update).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.graph import Subgraph
from outrider.dispatcher.workflows.steps import (
    DEFAULT_OPTIONS,
    InstanceChain,
    Options,
    RelationshipStep,
    Step,
    any_method,
)
from outrider.dispatcher.workflows.topology import (
    AGENT,
    HOST,
    LIFECYCLE,
    MONITORING,
    MONITORING_AGENT,
    NO_AGENT,
    SCRIPT_METHODS,
    VALIDATION,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

#: Names of the recoveries of a failed subgraph, see `recovery`.
REINSTALL = "reinstall"
UNINSTALL = "uninstall"

UNINITIALIZED = "uninitialized"
DELETED = "deleted"
STARTED = "started"

PRECONFIGURE = RelationshipStep(name="preconfigure")
POSTCONFIGURE = RelationshipStep(name="postconfigure")
ESTABLISH = RelationshipStep(name="establish")
UNLINK = RelationshipStep(name="unlink", reverse=True)


def _lifecycle(name: str, *, before: str | None = None, after: str | None = None) -> Step:
    return Step(name=name, operation=f"{LIFECYCLE}.{name}", state_before=before, state_after=after)


VALIDATION_CREATE = Step(name="validation_create", operation=f"{VALIDATION}.create")
PRECREATE = _lifecycle("precreate")
CREATE = _lifecycle("create", before="creating", after="created")
CONFIGURE = _lifecycle("configure", before="configuring", after="configured")
PRESTOP = _lifecycle("prestop")
STOP = _lifecycle("stop", after="stopped")
DELETE = _lifecycle("delete", before="deleting")
POSTDELETE = _lifecycle("postdelete")

#: What installs an instance, between the states ``initializing`` and ``started``.
INSTALL_STEPS: tuple[Step | RelationshipStep, ...] = (
    VALIDATION_CREATE,
    PRECREATE,
    CREATE,
    PRECONFIGURE,
    CONFIGURE,
    POSTCONFIGURE,
    _lifecycle("start", before="starting"),
    Step(name="host_get_state", operation=f"{HOST}.get_state", for_method=any_method, until_truthy=True),
    Step(name="agent_create", operation=f"{AGENT}.create", for_method=lambda method: method != NO_AGENT),
    Step(name="agent_start", operation=f"{AGENT}.start", for_method=lambda method: method in {"plugin", "init_script"}),
    Step(name="monitoring_agent_install", operation=f"{MONITORING_AGENT}.install", for_method=any_method),
    Step(name="monitoring_agent_start", operation=f"{MONITORING_AGENT}.start", for_method=any_method),
    _lifecycle("poststart"),
    Step(name="monitoring_start", operation=f"{MONITORING}.start"),
    ESTABLISH,
)

_BEFORE_CREATE = (VALIDATION_CREATE, PRECREATE)
_CREATED = (*_BEFORE_CREATE, CREATE)
_CONFIGURED = (*_CREATED, PRECONFIGURE, CONFIGURE)

#: State of an instance → steps of the install chain that lie behind it.
INSTALL_DONE: Mapping[str, tuple[Step | RelationshipStep, ...]] = MappingProxyType(
    {
        "creating": _BEFORE_CREATE,
        "created": _CREATED,
        "configuring": _CREATED,
        "configured": _CONFIGURED,
        "starting": _CONFIGURED,
        STARTED: INSTALL_STEPS,
    }
)

_STOP_STEPS: tuple[Step | RelationshipStep, ...] = (
    Step(name="validation_delete", operation=f"{VALIDATION}.delete"),
    Step(name="monitoring_stop", operation=f"{MONITORING}.stop"),
    PRESTOP,
    Step(name="monitoring_agent_stop", operation=f"{MONITORING_AGENT}.stop", for_method=any_method),
    Step(name="monitoring_agent_uninstall", operation=f"{MONITORING_AGENT}.uninstall", for_method=any_method),
    Step(name="agent_stop_amqp", operation=f"{AGENT}.stop_amqp", for_method=SCRIPT_METHODS.__contains__),
    Step(name="agent_stop", operation=f"{AGENT}.stop", for_method=lambda method: method == "remote"),
    Step(name="agent_delete", operation=f"{AGENT}.delete", for_method=lambda method: method != NO_AGENT),
    STOP,
)

#: What uninstalls an instance, between the states ``stopping`` and ``deleted``.
UNINSTALL_STEPS: tuple[Step | RelationshipStep, ...] = (*_STOP_STEPS, UNLINK, DELETE, POSTDELETE)

#: State of an instance → steps of the uninstall chain that lie behind it. An instance that was never begun has
#: nothing to undo.
UNINSTALL_DONE: Mapping[str, tuple[Step | RelationshipStep, ...]] = MappingProxyType(
    {
        "stopped": _STOP_STEPS,
        "deleting": (*_STOP_STEPS, UNLINK),
        DELETED: UNINSTALL_STEPS,
        UNINITIALIZED: UNINSTALL_STEPS,
    }
)


def add_install(
    builder: GraphBuilder,
    view: DeploymentView,
    instance: InstanceView,
    *,
    parent: str | None = None,
    prefix: str = "install_",
    state: str | None = None,
    recovery: str | None = REINSTALL,
) -> InstanceChain:
    """Add the install chain of an instance, as far as its state (or `state`, if given) leaves something to do."""
    chain = _begin(builder, view, instance, name=f"{prefix}{instance.id}", parent=parent, recovery=recovery)
    current = state or instance.state
    if current == STARTED:
        return chain
    done = INSTALL_DONE.get(current, ())
    steps = [each for each in INSTALL_STEPS if each not in done and chain.applies(each)]
    # Once something exists, going back to `initializing` would make a later run create it a second time.
    if steps and not done:
        chain.set_state("initializing")
    for step in steps:
        chain.append(step)
    chain.set_state(STARTED)
    return chain


def add_uninstall(
    builder: GraphBuilder,
    view: DeploymentView,
    instance: InstanceView,
    *,
    options: Options = DEFAULT_OPTIONS,
    parent: str | None = None,
    prefix: str = "",
    recovery: str | None = UNINSTALL,
) -> InstanceChain:
    """Add the uninstall chain of an instance, as far as its state leaves something to do."""
    name = f"{prefix}{instance.id}"
    chain = _begin(builder, view, instance, name=name, parent=parent, recovery=recovery, options=options)
    if instance.state in {DELETED, UNINITIALIZED}:
        return chain
    done = UNINSTALL_DONE.get(instance.state, ())
    steps = [each for each in UNINSTALL_STEPS if each not in done and chain.applies(each)]
    if steps and not done:
        chain.set_state("stopping")
    for step in steps:
        chain.append(step)
    chain.set_state(DELETED)
    return chain


def add_reinstall(
    builder: GraphBuilder,
    view: DeploymentView,
    instance: InstanceView,
    *,
    outer: str,
    options: Options = DEFAULT_OPTIONS,
) -> None:
    """Add both chains of an instance, one after the other, to the subgraph `outer`, which fails as one."""
    down = add_uninstall(
        builder, view, instance, options=options, parent=outer, prefix=f"{outer}.uninstall_", recovery=None
    )
    up = add_install(
        builder, view, instance, parent=outer, prefix=f"{outer}.install_", state=UNINITIALIZED, recovery=None
    )
    builder.wait(up.chain.first, down.chain.last)


def _begin(
    builder: GraphBuilder,
    view: DeploymentView,
    instance: InstanceView,
    *,
    name: str,
    parent: str | None,
    recovery: str | None,
    options: Options = DEFAULT_OPTIONS,
) -> InstanceChain:
    builder.add_subgraph(Subgraph(id=name, parent=parent, instance=instance.id, recovery=recovery))
    return InstanceChain(Chain(builder, name), view, instance, options)
