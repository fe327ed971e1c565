"""What holds for every topology: no cycles, everything after what it needs, install and uninstall are opposites."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.dispatcher.workflows import TaskKind, get_workflow
from outrider.dispatcher.workflows.preview import changed, planned_stages
from outrider.dispatcher.workflows.update_diff import update_steps
from tests.support.deployments import deployment, node, relationship
from tests.support.graphs import ancestors, run_order

OPERATIONS = ("precreate", "create", "configure", "start", "stop", "delete", "postdelete")
LINKS = ("preconfigure", "establish", "unlink")


@st.composite
def topologies(draw):
    """Nodes that depend on earlier ones, in every way, with any operations."""
    nodes = {}
    for number in range(draw(st.integers(1, 6))):
        targets = draw(st.lists(st.sampled_from(sorted(nodes)), max_size=3, unique=True)) if nodes else []
        links = [
            relationship(
                target,
                kind=draw(st.sampled_from(("depends_on", "connected_to", "depends_on_lifecycle_operation"))),
                source=draw(st.sets(st.sampled_from(LINKS))),
                target_side=draw(st.sets(st.sampled_from(LINKS))),
                properties={"operation": draw(st.sampled_from(("create", "precreate", "start")))},
            )
            for target in targets
        ]
        nodes[f"n{number}"] = node(draw(st.sets(st.sampled_from(OPERATIONS))), relationships=links)
    counts = {name: draw(st.integers(0, 3)) for name in nodes}
    return deployment(nodes, counts=counts)


def graph_of(workflow, view, **parameters):
    [stage] = get_workflow(workflow, parameters, view).stages
    return stage.plan(view).graph


def started(view):
    return replace(view, instances={key: replace(each, state="started") for key, each in view.instances.items()})


def state_tasks(graph, state):
    return {task.instance: task.id for task in graph.tasks.values() if task.state == state}


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_install_has_no_cycle_and_each_instance_comes_after_those_it_depends_on(view):
    graph = graph_of("install", view)
    run_order(graph)
    ends = state_tasks(graph, "started")
    assert set(ends) == set(view.instances)
    for instance in view.instances.values():
        before = ancestors(graph, ends[instance.id])
        for each in instance.relationships:
            if not each.type.endswith("depends_on_lifecycle_operation"):
                assert ends[each.target_instance] in before


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_uninstall_visits_everything_once_in_the_opposite_order(view):
    installed = state_tasks(graph_of("install", view), "started")
    graph = graph_of("uninstall", started(view))
    run_order(graph)
    ends = state_tasks(graph, "deleted")
    assert set(ends) == set(installed)
    for instance in view.instances.values():
        for each in instance.relationships:
            assert ends[instance.id] in ancestors(graph, ends[each.target_instance])


@settings(max_examples=60, deadline=None)
@given(topologies(), st.data())
def test_any_selection_keeps_the_order_of_the_whole(view, data):
    chosen = data.draw(st.lists(st.sampled_from(sorted(view.nodes)), min_size=1, unique=True))
    whole, part = (graph_of("install", view, **each) for each in ({}, {"node_ids": chosen}))
    run_order(part)
    of_part = {key for key, task in part.tasks.items() if task.kind is not TaskKind.JOIN}
    assert of_part <= set(whole.tasks)
    for task_id in of_part:
        # Whatever both graphs have is in the same order; a selection may only wait for less.
        assert ancestors(part, task_id) & of_part <= ancestors(whole, task_id)


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_a_graph_names_only_what_it_has(view):
    for workflow, now in (("install", view), ("uninstall", started(view)), ("stop", view), ("check_drift", view)):
        graph = graph_of(workflow, now)
        assert set(graph.dependencies) <= set(graph.tasks)
        assert {each for waits in graph.dependencies.values() for each in waits} <= set(graph.tasks)
        assert {task.subgraph for task in graph.tasks.values() if task.subgraph} <= set(graph.subgraphs)
        assert all(len(waits) == len(set(waits)) for waits in graph.dependencies.values())


def scaled(view, name, delta):
    """Return the deployment after a scale in which everything goes well."""
    workflow = get_workflow("scale", {"scalable_entity_name": name, "delta": delta}, view)
    [stage] = planned_stages(workflow, view)
    after = changed(stage.view, stage.plan.after)
    numbers = {"current_instances": len([each for each in after.instances.values() if each.node == name])}
    nodes = {**after.nodes, name: with_numbers(after.nodes[name], numbers)}
    return started(replace(after, nodes=nodes))


def with_numbers(record, numbers):
    return {**record, "capabilities": {"scalable": {"properties": {"default_instances": 1, **numbers}}}}


@settings(max_examples=40, deadline=None)
@given(topologies(), st.data())
def test_scaling_out_and_in_again_is_where_it_started(view, data):
    counts = {name: sum(each.node == name for each in view.instances.values()) for name in view.nodes}
    nodes = {name: with_numbers(each, {"current_instances": counts[name]}) for name, each in view.nodes.items()}
    view = started(replace(view, nodes=nodes))
    name = data.draw(st.sampled_from(sorted(view.nodes)))
    delta = data.draw(st.integers(1, 3))
    grown = scaled(view, name, delta)
    assert len(grown.instances) == len(view.instances) + delta
    back = scaled(grown, name, -delta)
    assert set(back.instances) == set(view.instances)
    for instance_id, instance in view.instances.items():
        assert set(back.instances[instance_id].relationships) == set(instance.relationships)


def plan_of(view):
    """Return a deployment's plan, in which each node has one instance."""
    numbers = {"current_instances": 1, "min_instances": 0, "max_instances": -1}
    nodes = {name: with_numbers(each, numbers) for name, each in view.nodes.items()}
    return {"nodes": [{"id": name, "name": name, **each} for name, each in nodes.items()]}


def updated(view, plan, *, install_first=False):
    """Return the deployment after an update in which everything goes well."""
    *_, last = planned_stages(get_workflow("update", {"plan": plan, "install_first": install_first}, view), view)
    return started(changed(last.view, last.plan.after))


def shape(view):
    """Return what two deployments have in common whose instances have different ids."""
    return Counter(
        (each.node, tuple(sorted((link.type, link.target_node, link.index) for link in each.relationships)))
        for each in view.instances.values()
    )


@settings(max_examples=40, deadline=None)
@given(topologies(), topologies(), st.booleans(), st.booleans())
def test_an_update_there_and_back_again_is_where_it_started(here, there, first_there, first_back):
    nodes = {each["id"]: each for each in plan_of(here)["nodes"]}
    begin = started(deployment(nodes))
    away = updated(begin, plan_of(there), install_first=first_there)
    assert set(away.nodes) == set(there.nodes) == {each.node for each in away.instances.values()}
    back = updated(away, plan_of(here), install_first=first_back)
    assert shape(back) == shape(begin)
    assert update_steps({"nodes": list(back.nodes.values())}, plan_of(here)) == []
