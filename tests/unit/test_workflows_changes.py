"""Workflows that mend and change a deployment: reinstall, heal, scale, rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outrider.dispatcher.workflows import ChangeKind, ParameterError, PlanError, Record, get_workflow
from tests.support.deployments import deployment, node, relationship
from tests.support.graphs import operations, run_order

STATUS = "cloudify.interfaces.validation.check_status"
HOSTED = {
    "vm": node(),
    "app": node(("start", "stop", "delete", "create"), relationships=[relationship("vm", kind="contained_in")]),
    "other": node(),
}
STARTED = dict.fromkeys(HOSTED, "started")


def with_system(view, **properties):
    instances = {
        each.id: replace(each, system_properties=properties.get(each.id, each.system_properties))
        for each in view.instances.values()
    }
    return replace(view, instances=instances)


def with_states(view, state, *instances):
    changed = {each: replace(view.instances[each], state=state) for each in instances}
    return replace(view, instances={**view.instances, **changed})


def stages(workflow, view, **parameters):
    return {stage.name: stage for stage in get_workflow(workflow, parameters, view).stages}


def planned(stage, view):
    return operations(stage.plan(view).graph)


def test_reinstall_is_uninstall_then_install_of_the_selected():
    view = deployment(HOSTED, states=STARTED)
    found = stages("reinstall", view, node_ids=["app"])
    assert list(found) == ["reinstall-uninstall", "reinstall-install"]
    assert planned(found["reinstall-uninstall"], view) == ["app_1:stop", "app_1:delete"]
    after = with_states(view, "deleted", "app_1")
    assert planned(found["reinstall-install"], after) == ["app_1:create", "app_1:start"]


def test_heal_asks_the_whole_host_of_the_instance():
    nodes = {
        name: {**each, "operations": {**each["operations"], **node((STATUS,))["operations"]}}
        for name, each in HOSTED.items()
    }
    view = deployment(nodes, states=STARTED)
    view = replace(view, instances={**view.instances, "app_1": replace(view.instances["app_1"], host="vm_1")})
    graph = stages("heal", view, node_instance_id="app_1")["check_status"].plan(view).graph
    assert sorted(operations(graph)) == ["app_1:check_status", "vm_1:check_status"]
    assert all(task.ignore_failure for task in graph.tasks.values() if task.operation)


HEALABLE = {
    "vm": node((STATUS, "preheal", "heal", "postheal", "start", "stop")),
    "app": node((STATUS, "start", "stop"), relationships=[relationship("vm", kind="contained_in")]),
}


def test_heal_leaves_the_healthy_alone_heals_what_can_and_reinstalls_the_rest():
    ok, ill = {"status": {"ok": True}}, {"status": {"ok": False}}
    view = with_system(
        deployment(HEALABLE, counts={"vm": 2}, states={"vm": "started", "app": "started"}), vm_1=ill, vm_2=ok, app_1=ill
    )
    found = stages("heal", view)
    assert list(found)[1:4] == ["preheal", "heal", "postheal"]
    before = found["preheal"].plan(view).before
    assert [(each.kind, each.payload["names"]) for each in before] == [(ChangeKind.CLEAR_SYSTEM_PROPERTIES, ["heal"])]
    assert planned(found["preheal"], view) == ["vm_1:preheal"]
    assert planned(found["heal"], view) == ["vm_1:heal"]
    assert found["heal"].plan(view).graph.tasks["vm_1.heal"].record is Record.HEAL
    assert planned(found["reinstall-uninstall"], view) == ["app_1:stop"]
    assert planned(found["reinstall-install"], with_states(view, "deleted", "app_1")) == ["app_1:start"]


def test_what_failed_to_heal_is_reinstalled_with_all_that_it_contains():
    view = with_system(
        deployment(HEALABLE, states={"vm": "started", "app": "started"}),
        vm_1={"status": {"ok": False}, "heal": {"ok": False}},
        app_1={"status": {"ok": True}},
    )
    found = stages("heal", view)
    assert planned(found["heal"], view) == []
    assert planned(found["reinstall-uninstall"], view) == ["app_1:stop", "vm_1:stop"]


def test_heal_says_what_it_may_not_reinstall():
    view = with_system(
        deployment(HEALABLE, states={"vm": "started", "app": "started"}),
        app_1={"status": {"ok": False}},
        vm_1={"status": {"ok": True}},
    )
    with pytest.raises(PlanError, match="cannot heal app_1 without reinstalling"):
        stages("heal", view, allow_reinstall=False)["reinstall-uninstall"].plan(view)


def test_a_forced_heal_reinstalls_at_once():
    view = deployment(HOSTED, states=STARTED)
    found = stages("heal", view, node_instance_id="vm_1", force_reinstall=True)
    assert list(found) == ["reinstall-uninstall", "reinstall-install"]
    assert planned(found["reinstall-uninstall"], view) == ["app_1:stop", "app_1:delete", "vm_1:stop", "vm_1:delete"]


def test_what_cannot_be_checked_and_runs_is_well():
    view = deployment(HOSTED, states=STARTED)
    assert planned(stages("heal", view)["reinstall-uninstall"], view) == []


def test_heal_of_an_unknown_instance_is_refused():
    with pytest.raises(PlanError, match="no node instance 'x'"):
        get_workflow("heal", {"node_instance_id": "x"}, deployment(HOSTED))


def test_rollback_undoes_what_was_interrupted_by_its_state():
    full = node(("create", "configure", "start", "stop", "delete"))
    view = deployment({"a": full, "b": full, "c": full}, states={"a": "creating", "b": "starting", "c": "started"})
    graph = stages("rollback", view)["rollback"].plan(view).graph
    order = run_order(graph)
    assert [each for each in order if "_a_1" in each] == [
        "rollback_a_1.deleting",
        "rollback_a_1.delete",
        "rollback_a_1.uninitialized",
    ]
    assert [each for each in order if "_b_1" in each] == [
        "rollback_b_1.stop",
        "rollback_b_1.stopped",
        "rollback_b_1.configured",
    ]
    assert not any("c_1" in each for each in order)
    assert all(task.ignore_failure for task in graph.tasks.values())
    assert list(stages("rollback", view, full_rollback=True)) == ["rollback", "uninstall"]


def scalable(record, current, **limits):
    properties = {"default_instances": 1, "current_instances": current, "min_instances": 0, "max_instances": -1}
    return {**record, "capabilities": {"scalable": {"properties": {**properties, **limits}}}}


def scaled(count=1, **limits):
    """A node `vm` that `app` is connected to, both started."""
    link = relationship("vm", kind="connected_to", source=("establish", "unlink"))
    nodes = {"vm": scalable(node(), count, **limits), "app": scalable(node(relationships=[link]), 1)}
    return deployment(nodes, counts={"vm": count}, states={"vm": "started", "app": "started"})


def apply(view, changes):
    """Apply a stage's changes as the engine does, as far as these tests look."""
    instances = dict(view.instances)
    for change in changes:
        if change.kind is ChangeKind.ADD_INSTANCES:
            instances.update({each.id: each for each in change.payload["instances"]})
        elif change.kind is ChangeKind.REMOVE_INSTANCES:
            for each in change.payload["instances"]:
                del instances[each]
    return replace(view, instances=instances)


def test_scale_out_installs_the_new_and_establishes_the_old_with_them():
    view = scaled()
    plan = stages("scale", view, scalable_entity_name="vm", delta=2)["scale-out"].plan(view)
    added = [each.id for each in plan.before[0].payload["instances"]]
    assert len(added) == 2
    assert sorted(operations(plan.graph)) == sorted(
        [f"{each}:{name}" for each in added for name in ("create", "start")] + ["app_1:establish"] * 2
    )
    assert {task.target for task in plan.graph.tasks.values() if task.side} == set(added)
    assert [each.kind for each in plan.before] == [ChangeKind.ADD_INSTANCES, ChangeKind.UPDATE_INSTANCES]
    [app] = plan.before[1].payload["instances"]
    assert [each["target_id"] for each in app["relationships"]] == ["vm_1", *added]
    assert plan.after[0].payload == {"nodes": {"vm": {"current_instances": 3, "planned_instances": 3}}}


def test_a_failed_scale_out_uninstalls_all_that_it_added_also_what_was_started():
    view = scaled()
    found = stages("scale", view, scalable_entity_name="vm")
    assert found["scale-out-rollback"].on_failure
    plan = found["scale-out"].plan(view)
    [new] = plan.before[0].payload["instances"]
    broken = with_states(apply(view, plan.before), "started", new.id)
    undo = found["scale-out-rollback"].plan(broken)
    assert operations(undo.graph) == [f"{new.id}:stop", f"{new.id}:delete"]
    assert apply(broken, undo.after).instances.keys() == view.instances.keys()
    assert "scale-out-rollback" not in stages("scale", view, scalable_entity_name="vm", rollback_if_failed=False)


def test_an_unfinished_scale_out_is_in_the_way_until_it_is_aborted():
    view = scaled()
    broken = apply(view, stages("scale", view, scalable_entity_name="vm")["scale-out"].plan(view).before)
    with pytest.raises(PlanError, match="abort_started"):
        stages("scale", broken, scalable_entity_name="vm")["scale-out"].plan(broken)
    abort = stages("scale", broken, scalable_entity_name="vm", abort_started=True)["abort"].plan(broken)
    assert apply(broken, abort.after).instances.keys() == view.instances.keys()


def test_scale_in_uninstalls_and_removes_the_youngest_unless_told_otherwise():
    view = scaled(3)
    plan = stages("scale", view, scalable_entity_name="vm", delta=-1)["scale-in"].plan(view)
    assert operations(plan.graph) == ["app_1:unlink", "vm_3:stop", "vm_3:delete"]
    assert [each.kind for each in plan.after] == [
        ChangeKind.UPDATE_INSTANCES,
        ChangeKind.REMOVE_INSTANCES,
        ChangeKind.SET_SCALE,
    ]
    plan = stages("scale", view, scalable_entity_name="vm", delta=-1, include_instances=["vm_1"])["scale-in"].plan(view)
    assert plan.after[1].payload == {"instances": ["vm_1"]}
    plan = stages("scale", view, scalable_entity_name="vm", delta=-1, exclude_instances=["vm_3"])["scale-in"].plan(view)
    assert plan.after[1].payload == {"instances": ["vm_2"]}


def test_scaling_by_nothing_does_nothing():
    view = scaled()
    [stage] = get_workflow("scale", {"scalable_entity_name": "vm", "delta": 0}, view).stages
    assert stage.plan(view).graph.tasks == {}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"scalable_entity_name": "ap"}, "did you mean 'app'"),
        ({"scalable_entity_name": "vm", "include_instances": ["vm_1"]}, "give a negative delta"),
        (
            {"scalable_entity_name": "vm", "delta": -1, "scale_compute": True, "exclude_instances": ["vm_1"]},
            "do not go with scale_compute",
        ),
        ({"scalable_entity_name": "vm", "delta": -2}, "would have -1"),
        ({"scalable_entity_name": "vm", "delta": 5}, "at most 3"),
        ({"scalable_entity_name": "vm", "delta": -1, "include_instances": ["app_1"]}, "no node instance of 'vm'"),
    ],
)
def test_a_scale_that_makes_no_sense_says_why(parameters, words):
    view = scaled(1, max_instances=3)
    with pytest.raises(PlanError, match=words):
        get_workflow("scale", parameters, view).stages[0].plan(view)


def test_scale_needs_to_know_what():
    with pytest.raises(ParameterError, match="'scalable_entity_name' is missing"):
        get_workflow("scale", {}, scaled())
