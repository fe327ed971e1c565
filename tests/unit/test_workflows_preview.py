"""Plans as data, values from plans, and the generated reference pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import load, prepare_deployment
from outrider.dispatcher.workflows import BUILT_IN, get_workflow
from outrider.dispatcher.workflows.notes import DIFFERENCES, STEPS
from outrider.dispatcher.workflows.pages import pages
from outrider.dispatcher.workflows.preview import planned_operations
from outrider.dispatcher.workflows.records import records_of, view_of_plan
from outrider.dispatcher.workflows.sample import sample_view
from tests.support.deployments import deployment, node, operation, relationship

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference" / "workflows"


def plan_of(workflow, view, **parameters):
    return planned_operations(get_workflow(workflow, parameters, view), view)


def test_a_plan_says_what_runs_where_in_which_order_and_with_which_plugin():
    linked = relationship("vm", kind="contained_in", target_side=("establish",))
    app = node(("create",), relationships=[linked])
    app["operations"]["cloudify.interfaces.lifecycle.create"] = operation("script", "host_agent")
    view = deployment({"vm": node(("start",), types=("cloudify.nodes.Root", "cloudify.nodes.Compute")), "app": app})
    found = plan_of("install", view)
    assert [(each.wave, each.instance, each.operation.rpartition(".")[2], each.plugin) for each in found] == [
        (1, "vm_1", "start", "cloud"),
        (2, "app_1", "create", "script"),
        (3, "vm_1", "establish", "cloud"),
    ]
    assert (found[1].executor, found[1].host) == ("host_agent", None)
    assert (found[2].side, found[2].target, found[2].node) == ("target", "vm_1", "vm")


def test_operations_that_do_not_wait_for_each_other_share_a_wave():
    view = deployment({"vm": node(("create", "start"))}, counts={"vm": 3})
    assert [each.wave for each in plan_of("install", view)] == [1, 1, 1, 2, 2, 2]


def test_later_stages_are_planned_on_what_the_earlier_ones_leave():
    view = sample_view("reinstall")
    found = plan_of("reinstall", view)
    assert [each.stage for each in found] == sorted([each.stage for each in found], reverse=True)
    assert [each.operation.rpartition(".")[2] for each in found if each.instance == "app_1"] == [
        "stop",
        "unlink",
        "delete",
        "create",
        "configure",
        "start",
        "establish",
    ]


def test_an_operation_on_a_host_names_it():
    view = sample_view("install")
    create = view.nodes["app"]["operations"]["cloudify.interfaces.lifecycle.create"]
    create["executor"] = "host_agent"
    [found] = [each for each in plan_of("install", view, node_ids=["app"]) if each.operation.endswith(".create")]
    assert found.host == "vm_1"


def test_a_plan_becomes_a_deployment_and_its_records_come_back():
    twice = [relationship("vm", kind="connected_to"), relationship("vm", kind="connected_to"), relationship("net")]
    nodes = [
        {"id": name, **each} for name, each in {"vm": node(), "net": node(), "app": node(relationships=twice)}.items()
    ]
    link = {"type": "cloudify.relationships.connected_to", "target_name": "vm", "target_id": "vm_a"}
    other = {"type": "cloudify.relationships.depends_on", "target_name": "net", "target_id": "net_a"}
    records = [
        {"id": "vm_a", "name": "vm", "node_id": "vm", "index": 1, "relationships": []},
        {"id": "net_a", "name": "net", "node_id": "net", "index": 1, "relationships": []},
        {
            "id": "app_a",
            "name": "app",
            "node_id": "app",
            "index": 1,
            "host_id": "vm_a",
            "scaling_groups": [{"name": "g", "id": "g_1"}],
            "relationships": [link, other, link],
        },
    ]
    view = view_of_plan({"nodes": nodes, "node_instances": records})
    assert [each.index for each in view.instances["app_a"].relationships] == [0, 2, 1]
    assert view.instances["app_a"].host == "vm_a"
    assert records_of(view) == records


BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_4
imports: [cloudify/types/types.yaml]
node_templates:
  vm:
    type: cloudify.nodes.Compute
    properties: {agent_config: {install_method: remote, user: me}}
  app:
    type: cloudify.nodes.SoftwareComponent
    interfaces: {cloudify.interfaces.lifecycle: {create: run.sh, start: run.sh}}
    relationships: [{type: cloudify.relationships.contained_in, target: vm}]
groups: {stack: {members: [vm, app]}}
policies: {scaling: {type: cloudify.policies.scaling, targets: [stack]}}
"""


def test_a_blueprint_is_planned_without_a_deployment(tmp_path):
    (tmp_path / "blueprint.yaml").write_text(BLUEPRINT)
    (tmp_path / "run.sh").write_text("true")
    view = view_of_plan(prepare_deployment(load(tmp_path / "blueprint.yaml").plan))
    found = plan_of("install", view)
    assert [(each.node, each.operation.rpartition(".")[2], each.plugin) for each in found] == [
        ("vm", "create", "agent"),
        ("app", "create", "script"),
        ("app", "start", "script"),
    ]
    [vm] = [each.id for each in view.instances.values() if each.node == "vm"]
    assert [each.host for each in found] == [None, vm, vm]
    started = replace(view, instances={key: replace(each, state="started") for key, each in view.instances.items()})
    added = plan_of("scale", started, scalable_entity_name="stack")
    assert [(each.node, each.host in view.instances) for each in added] == [
        ("vm", False),
        ("app", False),
        ("app", False),
    ]


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_pages_are_what_the_planners_do(name):
    assert (PAGES / name).read_text(encoding="utf-8") == pages()[name], (
        "run: python -m outrider.dispatcher.workflows.pages docs/reference/workflows"
    )


def test_every_workflow_has_its_words_and_no_others():
    assert set(BUILT_IN) <= set(STEPS)
    assert set(DIFFERENCES) <= set(STEPS)
    assert {path.name for path in PAGES.glob("*.md")} == {*pages(), "plugin-workflows.md"}
