"""Workflows that run operations without creating anything: execute_operation and its short forms, checks, agents."""

from __future__ import annotations

import pytest

from outrider.dispatcher.workflows import (
    BUILT_IN,
    ParameterError,
    PlanError,
    Record,
    Rules,
    Side,
    UnknownWorkflowError,
    availability,
    get_workflow,
)
from tests.support.deployments import deployment, node, relationship
from tests.support.graphs import operations, run_order

VALIDATION = "cloudify.interfaces.validation"
AGENT = "cloudify.interfaces.cloudify_agent"
HOST_TYPES = ("cloudify.nodes.Root", "cloudify.nodes.Compute")
PAIR = {"net": node(), "vm": node(relationships=[relationship("net")])}


def graphs(workflow, view, **parameters):
    return [stage.plan(view).graph for stage in get_workflow(workflow, parameters, view).stages]


def test_an_operation_runs_with_its_events_where_it_is_implemented():
    view = deployment({"a": node(("custom.run",)), "b": node()})
    [graph] = graphs("execute_operation", view, operation="custom.run", operation_kwargs={"x": 1})
    assert run_order(graph) == ["a_1.event_begin", "a_1.run", "a_1.event_end"]
    assert graph.tasks["a_1.run"].kwargs == {"x": 1}
    assert graph.tasks["a_1.run"].allow_override is None


def test_without_dependency_order_everything_runs_at_once():
    [graph] = graphs("execute_operation", deployment(PAIR), operation="cloudify.interfaces.lifecycle.start")
    assert "net_1.event_begin" not in graph.dependencies
    assert "vm_1.event_begin" not in graph.dependencies


def test_with_dependency_order_the_order_holds_through_what_has_no_such_operation():
    nodes = {
        "net": node(("custom.run",)),
        "vm": node((), relationships=[relationship("net")]),
        "app": node(("custom.run",), relationships=[relationship("vm")]),
    }
    [graph] = graphs("execute_operation", deployment(nodes), operation="custom.run", run_by_dependency_order=True)
    assert operations(graph) == ["net_1:run", "app_1:run"]
    assert run_order(graph).index("net_1.event_end") < run_order(graph).index("app_1.event_begin")


def test_start_goes_up_and_stop_goes_down_the_dependencies():
    assert operations(graphs("start", deployment(PAIR))[0]) == ["net_1:start", "vm_1:start"]
    assert operations(graphs("stop", deployment(PAIR))[0]) == ["vm_1:stop", "net_1:stop"]


def test_restart_stops_everything_before_it_starts_anything():
    stop, start = graphs("restart", deployment(PAIR), stop_parms={"a": 1}, start_parms={"b": 2})
    assert operations(stop) == ["vm_1:stop", "net_1:stop"]
    assert operations(start) == ["net_1:start", "vm_1:start"]
    assert stop.tasks["vm_1.stop"].kwargs == {"a": 1}
    assert start.tasks["vm_1.start"].kwargs == {"b": 2}
    assert start.tasks["vm_1.start"].allow_override is True


def test_pull_runs_the_operation_pull():
    [graph] = graphs("pull", deployment({"vm": node(("pull",))}))
    assert operations(graph) == ["vm_1:pull"]


def test_check_status_is_asked_once_and_recorded():
    [graph] = graphs("check_status", deployment({"vm": node((f"{VALIDATION}.check_status",))}))
    task = graph.tasks["vm_1.check_status"]
    assert (task.max_retries, task.record, task.ignore_failure) == (0, Record.STATUS, False)


def test_check_drift_asks_the_instance_and_then_both_sides_of_its_relationships():
    linked = relationship("net", source=("check_drift",), target_side=("check_drift",))
    view = deployment({"net": node(()), "vm": node(("check_drift",), relationships=[linked])})
    [graph] = graphs("check_drift", view)
    assert graph.tasks["vm_1.check_drift"].record is Record.DRIFT
    sides = {
        task.side: task.record for task in graph.tasks.values() if task.operation and "relationship" in task.operation
    }
    assert sides == {Side.SOURCE: Record.SOURCE_DRIFT, Side.TARGET: Record.TARGET_DRIFT}
    assert run_order(graph)[0] == "vm_1.check_drift"


def test_validate_agents_asks_hosts_with_agents_only():
    def host(method):
        return node(
            (f"{AGENT}.validate_amqp",), types=HOST_TYPES, properties={"agent_config": {"install_method": method}}
        )

    view = deployment({"a": host("remote"), "b": host("none"), "c": host("init_script"), "app": node()})
    [graph] = graphs("validate_agents", view)
    assert sorted(operations(graph)) == ["a_1:validate_amqp", "c_1:validate_amqp"]
    [graph] = graphs("validate_agents", view, install_methods=["init_script"])
    assert operations(graph) == ["c_1:validate_amqp"]


NEW_AGENT_HOST = node(
    (
        f"{AGENT}.validate_amqp",
        f"{AGENT}.create_amqp",
        "cloudify.interfaces.monitoring_agent.install",
        "cloudify.interfaces.monitoring_agent.start",
    ),
    types=HOST_TYPES,
)


def test_new_agents_are_made_after_the_old_ones_were_looked_at():
    app = node(("cloudify.interfaces.monitoring.start",), relationships=[relationship("vm", kind="contained_in")])
    view = deployment({"vm": NEW_AGENT_HOST, "app": app}, states={"vm": "started", "app": "started"})
    validate, install = graphs("install_new_agents", view, manager_ip="10.0.0.1")
    assert operations(validate) == ["vm_1:validate_amqp"]
    assert operations(install) == [
        "vm_1:create_amqp",
        "vm_1:validate_amqp",
        "vm_1:install",
        "vm_1:start",
        "app_1:start",
    ]
    kwargs = install.tasks["vm_1.create_amqp"].kwargs
    assert kwargs == {"install_agent_timeout": 300, "manager_ip": "10.0.0.1", "stop_old_agent": False}
    assert len(get_workflow("install_new_agents", {"validate": False}, view).stages) == 1


def test_new_agents_need_started_hosts():
    with pytest.raises(PlanError, match=r"vm_1 \(configured\)"):
        graphs("install_new_agents", deployment({"vm": NEW_AGENT_HOST}, states={"vm": "configured"}))


def test_all_parameter_problems_come_at_once():
    with pytest.raises(ParameterError) as raised:
        get_workflow(
            "execute_operation", {"operation_kwargs": [], "node_id": ["x"], "node_ids": ["a", 1]}, deployment({})
        )
    text = str(raised.value)
    assert len(raised.value.problems) == 4
    assert "'operation' is missing" in text
    assert "'operation_kwargs' must be a dict, not []" in text
    assert "'node_id' is unknown (did you mean 'node_ids'?)" in text
    assert "1 is not" in text


def test_null_is_accepted_where_it_is_the_default():
    get_workflow("heal", {"node_instance_id": None}, deployment({}))
    with pytest.raises(ParameterError, match="must be a boolean"):
        get_workflow("uninstall", {"ignore_failure": None}, deployment({}))


def test_custom_parameters_are_accepted_on_request():
    get_workflow("install", {"mine": 1}, deployment({}), allow_custom=True)


def test_an_unknown_workflow_is_named_with_what_was_probably_meant():
    with pytest.raises(UnknownWorkflowError, match="did you mean 'uninstall'"):
        get_workflow("unistall", {}, deployment({}))


def test_every_default_passes_its_own_check():
    required = {"execute_operation": {"operation": "a.b"}, "scale": {"scalable_entity_name": "vm"}}
    view = deployment({"vm": node()}, states={"vm": "started"})
    for name in BUILT_IN:
        if name != "update":
            assert get_workflow(name, required.get(name, {}), view).stages


@pytest.mark.parametrize(
    ("states", "install", "uninstall"),
    [
        ({}, True, False),
        ({"net": "started"}, True, True),
        ({"net": "creating"}, True, True),
        ({"net": "started", "vm": "started"}, False, True),
        ({"net": "deleted", "vm": "deleted"}, True, False),
    ],
)
def test_availability_follows_the_states(states, install, uninstall):
    view = deployment(PAIR, states=states)
    assert availability("install", view).available is install
    assert availability("uninstall", view).available is uninstall
    assert availability("execute_operation", view).available


def test_a_deployment_without_instances_can_be_installed_and_uninstalled():
    assert availability("install", deployment({})).available
    assert availability("uninstall", deployment({})).available


def test_what_is_not_available_says_why():
    assert "0 of 2 instances are started" in availability("uninstall", deployment(PAIR)).reason
    assert "needs a node of type cloudify.nodes.Compute" in availability("validate_agents", deployment(PAIR)).reason


def test_a_blueprints_own_workflow_has_its_own_rules():
    view = deployment(PAIR)
    rules = {"node_instances_active": ["all"]}
    view.plan["workflows"] = {
        "mine": {"availability_rules": rules},
        "off": {"availability_rules": {"available": False}},
    }
    assert not availability("mine", view).available
    assert not availability("off", view).available
    assert availability("other", view).available
    assert BUILT_IN["heal"].rules == Rules(node_instances_active=("all", "partial"))
