"""`install_new_agents` and `validate_agents`: give hosts other agents, or see whether theirs answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from outrider.dispatcher.workflows.builder import Chain, GraphBuilder
from outrider.dispatcher.workflows.errors import PlanError
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, Task, TaskGraph, TaskKind, Workflow
from outrider.dispatcher.workflows.lifecycle import STARTED
from outrider.dispatcher.workflows.selection import select
from outrider.dispatcher.workflows.topology import (
    AGENT,
    MONITORING,
    MONITORING_AGENT,
    NO_AGENT,
    contained_subgraph,
    install_method,
    is_host,
    node_implements,
)
from outrider.dispatcher.workflows.view import DeploymentView, InstanceView

Json = Mapping[str, Any]


def plan_validate_agents(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `validate_agents`."""

    def plan(view: DeploymentView) -> StagePlan:
        builder = GraphBuilder()
        for host in _hosts(view, parameters):
            chain = _chain(builder, host)
            _append(chain, view, host, f"{AGENT}.validate_amqp", {"current_amqp": True})
        return StagePlan(graph=builder.build())

    return Workflow(name="validate_agents", stages=(Stage(name="validate_agents", plan=plan),))


def plan_install_new_agents(parameters: Json, _view: DeploymentView) -> Workflow:
    """Plan the workflow `install_new_agents`: `validate` looks at the old agents, `install` makes the new ones."""
    stages = []
    if parameters["validate"]:
        stages.append(Stage(name="validate", plan=lambda view: StagePlan(graph=_validate_graph(view, parameters))))
    if parameters["install"]:
        stages.append(Stage(name="install", plan=lambda view: StagePlan(graph=_install_graph(view, parameters))))
    return Workflow(name="install_new_agents", stages=tuple(stages))


def _validate_graph(view: DeploymentView, parameters: Json) -> TaskGraph:
    builder = GraphBuilder()
    for host in _started_hosts(view, parameters):
        _append(_chain(builder, host), view, host, f"{AGENT}.validate_amqp", {"current_amqp": False})
    return builder.build()


def _install_graph(view: DeploymentView, parameters: Json) -> TaskGraph:
    builder = GraphBuilder()
    create = {
        name: parameters[name]
        for name in ("install_agent_timeout", "manager_ip", "manager_certificate", "stop_old_agent", "install_script")
        if parameters[name] is not None
    }
    for host in _started_hosts(view, parameters):
        chain = _chain(builder, host)
        _append(chain, view, host, f"{AGENT}.create_amqp", create)
        _append(chain, view, host, f"{AGENT}.validate_amqp", {"current_amqp": True}, suffix="_new")
        _append(chain, view, host, f"{MONITORING_AGENT}.install", {}, suffix="_monitoring_agent")
        _append(chain, view, host, f"{MONITORING_AGENT}.start", {}, suffix="_monitoring_agent")
        chain.step(
            _task(chain.name, view.instances[inside], f"{MONITORING}.start", {}, suffix=f"_monitoring.{inside}")
            for inside in sorted(contained_subgraph(view, (host.id,)))
            if node_implements(view.nodes[view.instances[inside].node], f"{MONITORING}.start")
        )
    return builder.build()


def _hosts(view: DeploymentView, parameters: Json) -> Iterator[InstanceView]:
    chosen = select(view, parameters)
    methods = set(parameters["install_methods"] or ())
    for instance in view.instances.values():
        node = view.nodes[instance.node]
        if instance.id in chosen and is_host(node):
            method = install_method(node)
            if method != NO_AGENT and (not methods or method in methods):
                yield instance


def _started_hosts(view: DeploymentView, parameters: Json) -> list[InstanceView]:
    hosts = list(_hosts(view, parameters))
    waiting = [f"{each.id} ({each.state})" for each in hosts if each.state != STARTED]
    if waiting:
        raise PlanError(
            f"new agents can only be installed on started hosts, but these are not: {', '.join(waiting)};"
            " finish their installation first, or leave them out with node_instance_ids"
        )
    return hosts


def _chain(builder: GraphBuilder, host: InstanceView) -> Chain:
    builder.add_subgraph(Subgraph(id=host.id, instance=host.id))
    return Chain(builder, host.id)


def _append(
    chain: Chain, view: DeploymentView, host: InstanceView, operation: str, kwargs: Json, *, suffix: str = ""
) -> None:
    if node_implements(view.nodes[host.node], operation):
        chain.step((_task(chain.name, host, operation, kwargs, suffix=suffix),))


def _task(name: str, instance: InstanceView, operation: str, kwargs: Json, *, suffix: str) -> Task:
    return Task(
        id=f"{name}.{operation.rpartition('.')[2]}{suffix}",
        kind=TaskKind.OPERATION,
        instance=instance.id,
        operation=operation,
        kwargs=kwargs or None,
        allow_override=True,
        subgraph=name,
    )
