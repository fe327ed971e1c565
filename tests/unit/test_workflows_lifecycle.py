"""The steps of install and uninstall: which, in which order, what a state or a filter leaves out."""

from __future__ import annotations

import pytest

from outrider.dispatcher.workflows import TaskKind, get_workflow
from tests.support.deployments import ALL_LIFECYCLE, deployment, node, relationship
from tests.support.graphs import ancestors, operations, run_order, steps

HOST_TYPES = ("cloudify.nodes.Root", "cloudify.nodes.Compute")
HOST_OPERATIONS = (
    "start",
    "stop",
    "cloudify.interfaces.host.get_state",
    *(f"cloudify.interfaces.cloudify_agent.{each}" for each in ("create", "start", "stop", "stop_amqp", "delete")),
    *(f"cloudify.interfaces.monitoring_agent.{each}" for each in ("install", "start", "stop", "uninstall")),
)
FULL = (
    *ALL_LIFECYCLE,
    "cloudify.interfaces.validation.create",
    "cloudify.interfaces.validation.delete",
    "cloudify.interfaces.monitoring.start",
    "cloudify.interfaces.monitoring.stop",
)


def graph_of(workflow, view, **parameters):
    [stage] = get_workflow(workflow, parameters, view).stages
    return stage.plan(view).graph


def short(graph):
    return [each.partition(".")[2] for each in steps(graph)]


def test_install_runs_every_step_of_a_full_node_in_the_reference_order():
    linked = relationship("net", source=("preconfigure", "postconfigure", "establish"))
    view = deployment({"net": node(()), "vm": node(FULL, relationships=[linked])}, states={"net": "started"})
    assert short(graph_of("install", view)) == [
        "initializing",
        "validation_create",
        "precreate",
        "creating",
        "create",
        "created",
        "preconfigure.0.net_1.source",
        "configuring",
        "configure",
        "configured",
        "postconfigure.0.net_1.source",
        "starting",
        "start",
        "poststart",
        "monitoring_start",
        "establish.0.net_1.source",
        "started",
    ]


def test_uninstall_runs_every_step_of_a_full_node_in_the_reference_order():
    linked = relationship("net", source=("unlink",))
    view = deployment({"net": node(()), "vm": node(FULL, relationships=[linked])}, states={"vm": "started"})
    assert short(graph_of("uninstall", view)) == [
        "stopping",
        "validation_delete",
        "monitoring_stop",
        "prestop",
        "stop",
        "stopped",
        "unlink.0.net_1.source",
        "deleting",
        "delete",
        "postdelete",
        "deleted",
    ]


def test_an_operation_without_implementation_takes_its_states_with_it():
    view = deployment({"vm": node(("start",))})
    assert short(graph_of("install", view)) == ["initializing", "starting", "start", "started"]


def test_a_node_without_operations_only_gets_its_final_state():
    view = deployment({"vm": node(())})
    assert short(graph_of("install", view)) == ["started"]
    gone = deployment({"vm": node(())}, states={"vm": "started"})
    assert short(graph_of("uninstall", gone)) == ["deleted"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("started", []),
        ("starting", ["postconfigure.0.net_1.source", "starting", "start"]),
        ("configured", ["postconfigure.0.net_1.source", "starting", "start"]),
        ("configuring", ["preconfigure.0.net_1.source", "configuring", "configure", "configured"]),
        ("created", ["preconfigure.0.net_1.source", "configuring", "configure", "configured"]),
        ("creating", ["creating", "create", "created"]),
        ("deleted", ["initializing", "validation_create", "precreate"]),
    ],
)
def test_install_skips_what_the_state_says_was_done(state, expected):
    linked = relationship("net", source=("preconfigure", "postconfigure"))
    view = deployment(
        {"net": node(()), "vm": node(FULL, relationships=[linked])}, states={"net": "started", "vm": state}
    )
    assert short(graph_of("install", view))[: len(expected) or None] == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("stopped", ["unlink.0.net_1.source", "deleting", "delete", "postdelete", "deleted"]),
        ("deleting", ["deleting", "delete", "postdelete", "deleted"]),
        ("deleted", []),
        ("uninitialized", []),
    ],
)
def test_uninstall_skips_what_the_state_says_was_done(state, expected):
    linked = relationship("net", source=("unlink",))
    view = deployment({"net": node(()), "vm": node(FULL, relationships=[linked])}, states={"vm": state})
    assert short(graph_of("uninstall", view)) == expected


@pytest.mark.parametrize(
    ("method", "installed", "removed"),
    [
        ("none", [], []),
        ("remote", ["agent_create"], ["agent_stop", "agent_delete"]),
        ("init_script", ["agent_create", "agent_start"], ["agent_stop_amqp", "agent_delete"]),
        ("plugin", ["agent_create", "agent_start"], ["agent_stop_amqp", "agent_delete"]),
        ("provided", ["agent_create"], ["agent_stop_amqp", "agent_delete"]),
    ],
)
def test_a_host_gets_the_agent_steps_of_its_install_method(method, installed, removed):
    host = node(HOST_OPERATIONS, types=HOST_TYPES, properties={"agent_config": {"install_method": method}})
    assert short(graph_of("install", deployment({"vm": host}))) == [
        "initializing",
        "starting",
        "start",
        "host_get_state",
        *installed,
        "monitoring_agent_install",
        "monitoring_agent_start",
        "started",
    ]
    assert short(graph_of("uninstall", deployment({"vm": host}, states={"vm": "started"}))) == [
        "stopping",
        "monitoring_agent_stop",
        "monitoring_agent_uninstall",
        *removed,
        "stop",
        "stopped",
        "deleted",
    ]


def test_the_deprecated_install_agent_property_wins():
    host = node(
        HOST_OPERATIONS,
        types=HOST_TYPES,
        properties={"install_agent": False, "agent_config": {"install_method": "remote"}},
    )
    assert "agent_create" not in short(graph_of("install", deployment({"vm": host})))


def test_a_host_is_polled_until_it_says_yes_and_others_are_not():
    host = node(HOST_OPERATIONS, types=HOST_TYPES)
    graph = graph_of("install", deployment({"vm": host, "app": node(HOST_OPERATIONS)}))
    assert graph.tasks["install_vm_1.host_get_state"].until_truthy
    assert "install_app_1.host_get_state" not in graph.tasks


def test_neighbouring_relationships_to_one_node_run_side_by_side_and_groups_in_order():
    vm = node(
        ("create",),
        relationships=[
            relationship("db", source=("establish",), target_side=("establish",)),
            relationship("db", source=("establish",)),
            relationship("net", source=("establish",)),
        ],
    )
    view = deployment({"db": node(()), "net": node(()), "vm": vm}, states={"db": "started", "net": "started"})
    graph = graph_of("install", view)
    first = [f"install_vm_1.establish.{each}" for each in ("0.db_1.source", "0.db_1.target", "1.db_1.source")]
    assert {graph.dependencies[each] for each in first} == {("install_vm_1.created",)}
    assert graph.dependencies["install_vm_1.establish.2.net_1.source"] == tuple(first)


def test_unlink_goes_through_the_relationships_backwards():
    vm = node((), relationships=[relationship("db", source=("unlink",)), relationship("net", source=("unlink",))])
    view = deployment({"db": node(()), "net": node(()), "vm": vm}, states={"vm": "started"})
    assert operations(graph_of("uninstall", view)) == ["vm_1:unlink", "vm_1:unlink"]
    assert [each for each in short(graph_of("uninstall", view)) if "unlink" in each] == [
        "unlink.1.net_1.source",
        "unlink.0.db_1.source",
    ]


def test_an_instance_waits_for_all_that_it_depends_on_and_goes_before_them():
    nodes = {"net": node(), "vm": node(relationships=[relationship("net")])}
    graph = graph_of("install", deployment(nodes))
    assert graph.dependencies["install_vm_1.initializing"] == ("install_net_1.started",)
    graph = graph_of("uninstall", deployment(nodes, states={"net": "started", "vm": "started"}))
    assert graph.dependencies["net_1.stopping"] == ("vm_1.deleted",)


def test_depends_on_lifecycle_operation_waits_only_for_what_follows_the_operation():
    early = relationship("net", kind="depends_on_lifecycle_operation", properties={"operation": "create"})
    graph = graph_of("install", deployment({"net": node(), "vm": node(relationships=[early])}))
    assert graph.dependencies["install_vm_1.initializing"] == ("install_net_1.created",)
    assert "install_net_1.start" not in ancestors(graph, "install_vm_1.started")


def test_depends_on_lifecycle_operation_waits_for_everything_when_the_operation_does_not_run():
    early = relationship("net", kind="depends_on_lifecycle_operation", properties={"operation": "configure"})
    graph = graph_of("install", deployment({"net": node(), "vm": node(relationships=[early])}))
    assert graph.dependencies["install_vm_1.initializing"] == ("install_net_1.started",)


def test_the_order_holds_through_instances_that_are_not_selected():
    nodes = {
        "net": node(),
        "vm": node(relationships=[relationship("net")]),
        "app": node(relationships=[relationship("vm")]),
    }
    graph = graph_of("install", deployment(nodes), node_ids=["net", "app"])
    assert "install_net_1.started" in ancestors(graph, "install_app_1.initializing")
    assert not any(each.startswith("install_vm_1") for each in graph.tasks)
    started = deployment(nodes, states=dict.fromkeys(nodes, "started"))
    graph = graph_of("uninstall", started, node_ids=["net", "app"])
    assert "app_1.deleted" in ancestors(graph, "net_1.stopping")


def test_existing_instances_outside_the_filter_are_linked_anew_and_others_are_left_alone():
    vm = node(relationships=[relationship("net", source=("establish", "unlink"))])
    nodes = {"net": node(), "vm": vm}
    view = deployment(nodes, states={"vm": "started"})
    graph = graph_of("install", view, node_ids=["net"])
    assert run_order(graph)[-1] == "establish_vm_1.establish.0.net_1.source"
    assert (
        "establish_vm_1.establish.0.net_1.source" not in graph_of("install", deployment(nodes), node_ids=["net"]).tasks
    )
    graph = graph_of("uninstall", deployment(nodes, states=dict.fromkeys(nodes, "started")), node_ids=["net"])
    assert run_order(graph)[0] == "unlink_vm_1.unlink.0.net_1.source"


def test_filters_combine_and_types_include_derived_ones():
    nodes = {"a": node(types=("cloudify.nodes.Root", "my.Base", "my.Derived")), "b": node()}
    view = deployment(nodes, counts={"a": 2})
    graph = graph_of("install", view, type_names=["my.Base"], node_instance_ids=["a_2", "b_1"])
    assert {task.instance for task in graph.tasks.values()} == {"a_2"}


def test_a_recursive_uninstall_begins_with_the_deployments_inside():
    workflow = get_workflow("uninstall", {"recursive": True, "ignore_failure": True}, deployment({"vm": node()}))
    assert [each.name for each in workflow.stages] == ["uninstall-children", "uninstall"]
    [task] = workflow.stages[0].plan(deployment({"vm": node()})).graph.tasks.values()
    assert (task.operation, task.ignore_failure) == ("uninstall", True)
    assert task.kwargs == {"recursive": True, "ignore_failure": True}


def test_ignore_failure_marks_every_task():
    view = deployment({"vm": node()}, states={"vm": "started"})
    graph = graph_of("uninstall", view, ignore_failure=True)
    assert all(task.ignore_failure for task in graph.tasks.values())
    assert not any(task.ignore_failure for task in graph_of("uninstall", view).tasks.values())


def test_a_failed_install_subgraph_is_replaced_by_uninstall_and_install():
    view = deployment({"vm": node()}, states={"vm": "starting"})
    workflow = get_workflow("install", {}, view)
    failed = workflow.stages[0].plan(view).graph.subgraphs["install_vm_1"]
    assert workflow.recover is not None
    graph = workflow.recover(failed.recovery, failed, view)
    assert operations(graph) == ["vm_1:stop", "vm_1:delete", "vm_1:create", "vm_1:start"]
    assert {each.parent for each in graph.subgraphs.values()} == {None, "reinstall_install_vm_1"}
    again = workflow.recover("reinstall", graph.subgraphs["reinstall_install_vm_1"], view)
    assert set(again.tasks).isdisjoint(graph.tasks)


def test_a_failed_uninstall_subgraph_is_replaced_by_uninstall():
    view = deployment({"vm": node()}, states={"vm": "stopped"})
    workflow = get_workflow("uninstall", {}, view)
    failed = workflow.stages[0].plan(view).graph.subgraphs["vm_1"]
    assert operations(workflow.recover(failed.recovery, failed, view)) == ["vm_1:delete"]


@pytest.mark.parametrize(
    ("state", "step", "expected"),
    [
        ("starting", "start", ["vm_1:prestop", "vm_1:stop"]),
        ("creating", "create", ["vm_1:delete", "vm_1:postdelete"]),
        ("creating", "configure", None),
        ("started", "start", None),
    ],
)
def test_a_resumed_create_or_start_is_undone_first(state, step, expected):
    fresh = deployment({"vm": node(FULL)})
    workflow = get_workflow("install", {}, fresh)
    task = workflow.stages[0].plan(fresh).graph.tasks[f"install_vm_1.{step}"]
    graph = workflow.prepare_resume(task, deployment({"vm": node(FULL)}, states={"vm": state}))
    assert (operations(graph) if graph else None) == expected
    if graph:
        assert all(each.ignore_failure for each in graph.tasks.values())


def test_a_hundred_thousand_tasks_are_planned_with_few_dependencies():
    nodes = {"net": node(()), "vm": node(("create", "configure", "start"), relationships=[relationship("net")])}
    view = deployment(nodes, counts={"net": 20, "vm": 12_000})
    graph = graph_of("install", view)
    assert len(graph.tasks) > 100_000
    assert sum(map(len, graph.dependencies.values())) < 1.2 * len(graph.tasks)
    assert sum(task.kind is TaskKind.JOIN for task in graph.tasks.values()) == 1
