"""`update`: what goes, what changes, what comes, and what a preview says."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from outrider.dispatcher.workflows import ChangeKind, ParameterError, UnknownWorkflowError, get_workflow
from outrider.dispatcher.workflows.graph import LEAVE, Record, TaskKind
from outrider.dispatcher.workflows.preview import changed, planned_operations, planned_stages
from outrider.dispatcher.workflows.records import instances_of_records
from outrider.dispatcher.workflows.update_diff import update_steps
from tests.support.deployments import deployment, node, relationship

LINK_OPERATIONS = ("establish", "unlink", "update")


def numbered(record, count=1):
    numbers = {"default_instances": count, "current_instances": count, "min_instances": 0, "max_instances": -1}
    return {**record, "capabilities": {"scalable": {"properties": numbers}}}


NODES = {
    "vm": numbered(node()),
    "db": numbered(node()),
    "app": numbered(node(relationships=[relationship("vm"), relationship("db", source=LINK_OPERATIONS)])),
}
VIEW = deployment(NODES, states=dict.fromkeys(NODES, "started"))


def plan_with(**changes):
    """The plan of NODES with nodes replaced, added, or (None) removed."""
    nodes = {**NODES, **changes}
    records = {name: each for name, each in nodes.items() if each is not None}
    return {"nodes": [{"id": name, "name": name, **copy.deepcopy(each)} for name, each in records.items()]}


def update(plan, view=VIEW, **parameters):
    return get_workflow("update", {"plan": plan, **parameters}, view)


def ran(plan, **parameters):
    found = planned_operations(update(plan, **parameters), VIEW)
    return [f"{each.stage}:{each.node}:{each.operation.rpartition('.')[2]}" for each in found]


def leaving(workflow, view):
    """The changes after the stage that takes down what goes."""
    [stage] = [each for each in workflow.stages if each.name == "update-uninstall"]
    return stage.plan(view).after


def final_view(plan, view=VIEW, **parameters):
    """The deployment after an update in which everything goes well."""
    *_, last = planned_stages(update(plan, view, **parameters), view)
    ended = changed(last.view, last.plan.after)
    instances = {key: replace(each, state="started") for key, each in ended.instances.items()}
    return replace(ended, instances=instances)


def app(**properties):
    return {**copy.deepcopy(NODES["app"]), "properties": properties}


def test_the_same_plan_changes_nothing():
    assert ran(plan_with(), skip_drift_check=True) == []
    assert update_steps(plan_with(), plan_with()) == []


def test_what_the_new_plan_does_not_have_is_unlinked_uninstalled_and_removed():
    without = {**NODES["app"], "relationships": NODES["app"]["relationships"][:1]}
    plan = plan_with(db=None, app=without)
    assert ran(plan) == [
        "update-uninstall:app:unlink",
        "update-uninstall:db:stop",
        "update-uninstall:db:delete",
    ]
    after = leaving(update(plan), VIEW)
    assert [each.kind for each in after] == [
        ChangeKind.REMOVE_INSTANCES,
        ChangeKind.REPLACE_PLAN,
        ChangeKind.UPDATE_INSTANCES,
    ]
    assert after[0].payload == {"instances": ["db_1"]}
    assert ran(plan, skip_uninstall=True) == []
    assert set(final_view(plan).instances) == {"vm_1", "app_1"}


def test_what_only_the_new_plan_has_is_installed_and_linked():
    links = [*NODES["app"]["relationships"], relationship("cache", source=LINK_OPERATIONS)]
    plan = plan_with(cache=numbered(node()), app={**NODES["app"], "relationships": links})
    assert ran(plan) == [
        "update-install:cache:create",
        "update-install:cache:start",
        "update-install:app:establish",
    ]
    assert ran(plan, skip_install=True) == []
    assert len(final_view(plan).instances["app_1"].relationships) == 3


def test_a_changed_property_runs_the_update_operations():
    updatable = {**app(port=80), "operations": node(("preupdate", "update", "start"))["operations"]}
    before = {**copy.deepcopy(updatable), "properties": {"port": 8080}}
    view = deployment({**NODES, "app": before}, states=dict.fromkeys(NODES, "started"))
    stages = {each.name: each for each in planned_stages(update(plan_with(app=updatable), view), view)}
    plan = stages["update-operations"].plan
    *operations, last = plan.graph.tasks.values()
    assert [task.operation.rpartition(".")[2] for task in operations] == ["preupdate", "update"]
    assert (last.kind, last.record) == (TaskKind.FORGET, Record.DRIFT)


def test_a_changed_node_without_update_operations_is_reinstalled():
    assert ran(plan_with(app=app(port=80))) == [
        "update-reinstall-uninstall:app:stop",
        "update-reinstall-uninstall:app:unlink",
        "update-reinstall-uninstall:app:delete",
        "update-reinstall-install:app:create",
        "update-reinstall-install:app:start",
        "update-reinstall-install:app:establish",
    ]
    assert ran(plan_with(app=app(port=80)), skip_reinstall=True) == []


def test_what_can_check_its_drift_decides_itself_unless_checks_are_skipped():
    checking = {**NODES["app"], "operations": node(("check_drift", "update"))["operations"]}
    view = deployment({**NODES, "app": checking}, states=dict.fromkeys(NODES, "started"))
    plan = plan_with(app={**copy.deepcopy(checking), "properties": {"a": 1}})

    def names(**parameters):
        found = planned_operations(update(plan, view, **parameters), view)
        return [each.operation.rpartition(".")[2] for each in found]

    assert names() == ["check_drift"]
    assert names(skip_drift_check=True) == ["update"]


def test_a_changed_relationship_is_updated_on_the_side_that_changed():
    changed = copy.deepcopy(NODES["app"])
    changed["relationships"][1]["source_operations"]["cloudify.interfaces.relationship_lifecycle.establish"][
        "inputs"
    ] = {"a": 1}
    assert ran(plan_with(app=changed)) == ["update-operations:app:update"]


def test_an_instance_on_the_list_is_reinstalled_in_any_case():
    assert "update-reinstall-uninstall:vm:stop" in ran(plan_with(), reinstall_list=["vm_1"], skip_drift_check=True)


def test_there_and_back_again_is_where_it_started():
    there = plan_with(db=None, app={**app(a=1), "relationships": NODES["app"]["relationships"][:1]})
    back = final_view(plan_with(), final_view(there))
    assert {each.node for each in back.instances.values()} == {"vm", "db", "app"}
    assert update_steps({"nodes": list(back.nodes.values())}, plan_with()) == []
    [old, new] = (view.instances["app_1"].relationships for view in (VIEW, back))
    assert [(each.target_node, each.index) for each in old] == [(each.target_node, each.index) for each in new]


def test_a_scaled_node_keeps_its_instances():
    grown = {**NODES, "vm": numbered(node(), 1)}
    grown["vm"]["capabilities"]["scalable"]["properties"]["current_instances"] = 3
    view = deployment(grown, counts={"vm": 3}, states=dict.fromkeys(grown, "started"))
    after = leaving(update(plan_with(), view), view)
    assert after[0].payload == {"instances": []}
    [vm] = [each for each in after[1].payload["plan"]["nodes"] if each["id"] == "vm"]
    assert vm["capabilities"]["scalable"]["properties"]["current_instances"] == 3
    assert not planned_operations(update(plan_with(), view, skip_drift_check=True), view)


def test_a_preview_changes_nothing_and_lists_the_steps():
    plan = plan_with(db=None, app=app(port=80), cache=numbered(node()))
    [stage] = update(plan, preview=True).stages
    assert stage.plan(VIEW).graph.tasks == {}
    found = {(each.entity_type, each.action, each.entity_id) for each in update_steps(plan_with(), plan)}
    assert found == {
        ("node", "remove", ("nodes", "db")),
        ("node", "add", ("nodes", "cache")),
        ("property", "add", ("nodes", "app", "properties", "port")),
    }


def test_install_first_brings_the_new_before_it_takes_the_old():
    links = [NODES["app"]["relationships"][0], relationship("cache", source=LINK_OPERATIONS)]
    plan = plan_with(db=None, cache=numbered(node()), app={**NODES["app"], "relationships": links})
    assert ran(plan, install_first=True) == [
        "update-install:cache:create",
        "update-install:cache:start",
        "update-install:app:establish",
        "update-uninstall:app:unlink",
        "update-uninstall:db:stop",
        "update-uninstall:db:delete",
    ]


def test_install_first_comes_to_the_same_deployment():
    moved = {**app(port=80), "relationships": [relationship("cache"), NODES["app"]["relationships"][1]]}
    plan = plan_with(cache=numbered(node()), app=moved)
    [first, usual] = (final_view(plan, install_first=flag) for flag in (True, False))
    assert first.nodes == usual.nodes

    def links(view):
        return sorted((each.node, each.state, *((r.target_node, r.index) for r in each.relationships)) for each in view)

    assert links(first.instances.values()) == links(usual.instances.values())
    assert not any(each.system_properties.get("unfinished_update") for each in first.instances.values())


def ill(view, *names):
    """The deployment in which these instances failed their last check of the status."""
    sick = {each: replace(view.instances[each], system_properties={"status": {"ok": False}}) for each in names}
    return replace(view, instances={**view.instances, **sick})


def healing(**parameters):
    able = {**copy.deepcopy(NODES["app"]), "operations": node(("heal", "stop", "start"))["operations"]}
    view = ill(deployment({**NODES, "app": able}, states=dict.fromkeys(NODES, "started")), "app_1", "db_1")
    found = planned_operations(update(plan_with(app=copy.deepcopy(able)), view, **parameters), view)
    return [f"{each.node}:{each.operation.rpartition('.')[2]}" for each in found]


def test_what_is_ill_is_healed_or_else_reinstalled():
    assert healing() == ["app:heal", "app:unlink", "db:stop", "db:delete", "db:create", "db:start", "app:establish"]


def test_nobody_is_asked_or_healed_if_that_is_skipped():
    assert healing(skip_heal=True) == []
    assert "update-check_status" not in {each.name for each in update(plan_with(), skip_heal=True).stages}


def test_force_reinstall_heals_nothing():
    assert "app:heal" not in healing(force_reinstall=True)
    assert {"app:stop", "db:stop"} <= set(healing(force_reinstall=True))


def test_what_is_ill_stays_if_nothing_may_be_reinstalled():
    assert healing(skip_reinstall=True) == ["app:heal"]


@pytest.mark.parametrize(
    ("parameters", "recovery"),
    [({}, LEAVE), ({"skip_reinstall": True}, None), ({"skip_reinstall": True, "ignore_failure": True}, LEAVE)],
)
def test_a_failed_update_operation_fails_the_update_only_where_nothing_makes_up_for_it(parameters, recovery):
    changed = {**app(port=80), "operations": node(("update", "stop", "start"))["operations"]}
    [stage] = [
        each for each in planned_stages(update(plan_with(app=changed), **parameters), VIEW) if "oper" in each.name
    ]
    assert [each.recovery for each in stage.plan.graph.subgraphs.values()] == [recovery]


def test_what_a_failed_update_was_bringing_up_is_brought_up_by_the_next_one():
    cache = replace(VIEW.instances["db_1"], id="cache_1", node="cache", state="creating")
    marked = replace(cache, system_properties={"unfinished_update": True})
    nodes = {**VIEW.nodes, "cache": {"id": "cache", "name": "cache", **numbered(node())}}
    view = replace(VIEW, nodes=nodes, instances={**VIEW.instances, "cache_1": marked})
    again = plan_with(cache=numbered(node()))
    found = [
        f"{each.stage}:{each.operation.rpartition('.')[2]}" for each in planned_operations(update(again, view), view)
    ]
    assert found == [
        "update-reinstall-uninstall:stop",
        "update-reinstall-uninstall:delete",
        "update-reinstall-install:create",
        "update-reinstall-install:start",
    ]
    assert final_view(again, view).instances["cache_1"].system_properties == {}
    gone = {key: replace(each, state="deleted") for key, each in view.instances.items()}
    assert planned_operations(update(again, replace(view, instances=gone)), replace(view, instances=gone)) == ()


def test_an_update_of_what_is_uninstalled_installs_nothing_of_it():
    view = deployment(NODES, states=dict.fromkeys(NODES, "deleted"))
    assert planned_operations(update(plan_with(app=app(port=80)), view), view) == ()


def test_instances_of_records_leaves_out_relationships_that_the_node_lost():
    link = {"type": "cloudify.relationships.depends_on", "target_name": "db", "target_id": "db_1"}
    record = {"id": "vm_1", "name": "vm", "relationships": [link]}
    assert instances_of_records(NODES, [record])[0].relationships == ()


def with_workflow(plan, **workflows):
    return {**plan, "workflows": workflows}


MINE = {"plugin": "p", "operation": "m.f", "parameters": {"text": {"default": "t"}, "added_instance_ids": {}}}


def moving():
    """A plan with `cache` where `db` was, and another property of `app`."""
    links = [NODES["app"]["relationships"][0], relationship("cache", source=LINK_OPERATIONS)]
    return plan_with(db=None, cache=numbered(node()), app={**app(port=80), "relationships": links})


def test_a_workflow_in_the_updates_place_is_told_the_differences():
    workflow = update(
        with_workflow(moving(), mine=MINE), workflow_id="mine", skip_install=True, reinstall_list=["vm_1"]
    )
    assert workflow.function == "mine"
    begin, end = planned_stages(workflow, VIEW)
    [cache] = [each.id for each in begin.view.instances.values() if each.node == "cache"]
    told = begin.plan.graph.tasks["workflow"].kwargs
    assert {name: value for name, value in told.items() if value and name != "modified_entity_ids"} == {
        "text": "t",
        "skip_install": True,
        "added_instance_ids": [cache],
        "removed_instance_ids": ["db_1"],
        "extended_instance_ids": ["app_1"],
        "extend_target_instance_ids": [cache],
        "reduced_instance_ids": ["app_1"],
        "reduce_target_instance_ids": ["db_1"],
        "node_instances_to_reinstall": ["vm_1"],
    }
    # While it runs, old and new stand side by side.
    assert {each.node for each in begin.view.instances.values()} == {"vm", "db", "app", "cache"}
    assert {each.target_node for each in begin.view.instances["app_1"].relationships} == {"vm", "db", "cache"}
    left = changed(end.view, end.plan.after)
    assert {each.node for each in left.instances.values()} == {"vm", "app", "cache"}
    assert {each.target_node for each in left.instances["app_1"].relationships} == {"vm", "cache"}
    assert set(left.nodes) == {"vm", "app", "cache"}


def test_a_modified_property_is_told_by_its_kind():
    workflow = update(with_workflow(plan_with(app=app(port=80)), mine=MINE), workflow_id="mine")
    [begin, _end] = planned_stages(
        workflow, replace(VIEW, nodes={**VIEW.nodes, "app": {**VIEW.nodes["app"], "properties": {"port": 1}}})
    )
    told = begin.plan.graph.tasks["workflow"].kwargs
    assert told["modified_entity_ids"] == {"property": ["nodes:app:properties:port"]}


def test_what_an_update_that_failed_was_bringing_is_told_as_added():
    begun = replace(VIEW.instances["db_1"], state="creating", system_properties={"unfinished_update": True})
    view = replace(VIEW, instances={**VIEW.instances, "db_1": begun})
    [begin, _end] = planned_stages(update(with_workflow(plan_with(), mine=MINE), view, workflow_id="mine"), view)
    assert begin.plan.graph.tasks["workflow"].kwargs["added_instance_ids"] == ["db_1"]


def test_a_built_in_workflow_may_take_the_updates_place():
    plan = moving()
    workflow = update(plan, workflow_id="execute_operation", operation="cloudify.interfaces.lifecycle.start")
    found = [(each.stage, each.node) for each in planned_operations(workflow, VIEW)]
    assert sorted(found) == [("execute_operation", each) for each in ("app", "cache", "db", "vm")]
    assert set(final_view(plan, workflow_id="install").instances) >= {"vm_1", "app_1"}


def test_a_workflow_in_the_updates_place_is_one_of_the_new_plan():
    plan = with_workflow(plan_with(), mine=MINE)
    with pytest.raises(UnknownWorkflowError, match="did you mean 'mine'"):
        update(plan, workflow_id="mime")
    with pytest.raises(ParameterError, match="parameter 'txet' is unknown"):
        update(plan, workflow_id="mine", txet=1)
    with pytest.raises(ParameterError, match="'operation' is missing"):
        update(plan, workflow_id="execute_operation")
    with pytest.raises(ParameterError, match="'skip_install' must be a boolean"):
        update(plan, workflow_id="mine", skip_install="yes")


@pytest.mark.parametrize("name", [None, "", "update"])
def test_the_updates_own_name_changes_nothing(name):
    assert ran(plan_with(app=app(port=80)), workflow_id=name) == ran(plan_with(app=app(port=80)))
