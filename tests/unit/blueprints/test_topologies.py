"""Properties that hold for every topology: instances are complete, scaling is undone by scaling back."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider.dispatcher.blueprint import id_maker, reconcile, scale, update_instances

CONTAINED = ["cloudify.relationships.depends_on", "cloudify.relationships.contained_in"]
CONNECTED = ["cloudify.relationships.depends_on", "cloudify.relationships.connected_to"]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def node(name: str, count: int, links: list[tuple[str, list[str], str]]) -> dict[str, Any]:
    """Return a node of a plan; links are (target, type hierarchy, connection type)."""
    return {
        "id": name,
        "type": "T",
        "capabilities": {"scalable": {"properties": limits(count)}},
        "relationships": [
            {"target_id": target, "type": kind[-1], "type_hierarchy": kind, "properties": {"connection_type": how}}
            for target, kind, how in links
        ],
    }


def limits(count: int) -> dict[str, int]:
    return {"default_instances": count, "min_instances": 0, "max_instances": -1}


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a plan: up to eight nodes, containment, connections, and a scaling group over nodes without container."""
    size = draw(st.integers(1, 8))
    nodes = []
    free = []
    for index in range(size):
        name, links = f"n{index}", []
        earlier = [f"n{other}" for other in range(index)]
        if earlier and draw(st.booleans()):
            links.append((draw(st.sampled_from(earlier)), CONTAINED, "all_to_all"))
        else:
            free.append(name)
        for target in draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []:
            if target not in [link[0] for link in links]:
                links.append((target, CONNECTED, draw(st.sampled_from(["all_to_all", "all_to_one"]))))
        nodes.append(node(name, draw(st.integers(0, 3)), links))
    members = draw(st.lists(st.sampled_from(free), max_size=3, unique=True))
    groups = {"g": {"members": members, "properties": limits(draw(st.integers(1, 2)))}} if members else {}
    return {"nodes": nodes, "scaling_groups": groups}


def make_ids(seed: int = 7) -> Any:
    return id_maker(source=random.Random(seed))


@QUICK
@given(plans())
def test_every_relationship_leads_to_an_instance_and_ids_are_unique(plan: dict[str, Any]) -> None:
    instances = reconcile(plan, make_id=make_ids())
    ids = {item["id"]: item["node_id"] for item in instances}
    assert len(ids) == len(instances)
    for item in instances:
        for link in item["relationships"]:
            assert ids[link["target_id"]] == link["target_name"]
    for name in {item["node_id"] for item in instances}:
        indexes = [item["index"] for item in instances if item["node_id"] == name]
        assert sorted(indexes) == list(range(1, len(indexes) + 1))


@QUICK
@given(plans())
def test_each_instance_is_contained_in_exactly_one_instance_of_its_container(plan: dict[str, Any]) -> None:
    instances = reconcile(plan, make_id=make_ids())
    for item in instances:
        described = next(each for each in plan["nodes"] if each["id"] == item["node_id"])
        container = [each for each in described["relationships"] if each["type_hierarchy"] == CONTAINED]
        links = [each for each in item["relationships"] if each["type"] == CONTAINED[-1]]
        assert len(links) == len(container)


@QUICK
@given(plans())
def test_instances_of_an_unchanged_plan_stay_as_they_are(plan: dict[str, Any]) -> None:
    instances = reconcile(plan, make_id=make_ids())
    changes = update_instances(plan, instances, make_id=make_ids(8))
    assert list(changes.after) == instances
    assert (changes.added, changes.removed, changes.extended, changes.reduced) == ((), (), (), ())


@QUICK
@given(plans(), st.data())
def test_scaling_out_and_in_again_is_the_identity(plan: dict[str, Any], data: st.DataObject) -> None:
    instances = reconcile(plan, make_id=make_ids())
    names = [each["id"] for each in plan["nodes"]] + list(plan["scaling_groups"])
    name = data.draw(st.sampled_from(names))
    counts = {each["id"]: each["capabilities"]["scalable"]["properties"]["default_instances"] for each in plan["nodes"]}
    counts |= {key: group["properties"]["default_instances"] for key, group in plan["scaling_groups"].items()}
    more = data.draw(st.integers(1, 3))
    out = scale(plan, instances, {name: {"instances": counts[name] + more}}, make_id=make_ids(9))
    assert not out.removed
    back = scale(plan, out.after, {name: {"instances": counts[name]}}, counts=out.counts, make_id=make_ids(10))
    assert sorted(back.removed) == sorted(out.added)
    assert list(back.after) == instances


@QUICK
@given(plans(), plans())
def test_updating_to_another_plan_and_back_keeps_what_both_have(one: dict[str, Any], other: dict[str, Any]) -> None:
    instances = reconcile(one, make_id=make_ids())
    there = update_instances(other, instances, make_id=make_ids(11))
    assert {item["id"] for item in there.after} == {item["id"] for item in instances} - set(there.removed) | set(
        there.added
    )
    back = update_instances(one, there.after, make_id=make_ids(12))
    count = lambda items: sorted(item["node_id"] for item in items)  # noqa: E731 - used twice, here only
    assert count(back.after) == count(instances)


def test_hints_choose_who_goes() -> None:
    plan = {"nodes": [node("a", 3, [])], "scaling_groups": {}}
    instances = reconcile(plan, make_id=make_ids())
    ids = [item["id"] for item in instances]
    assert scale(plan, instances, {"a": {"instances": 2}}).removed == (ids[2],)
    removing_first = {"a": {"instances": 2, "removed_ids_include_hint": [ids[0]]}}
    assert scale(plan, instances, removing_first).removed == (ids[0],)
    keeping_last = {"a": {"instances": 1, "removed_ids_exclude_hint": [ids[2]]}}
    assert set(scale(plan, instances, keeping_last).removed) == {ids[0], ids[1]}
