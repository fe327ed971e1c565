"""Functions at run time, against a storage in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from outrider.dispatcher.blueprint import FunctionFailed, Scope, evaluate, has_markers, redeem, secret_names
from outrider.dispatcher.blueprint.functions.text_functions import call


class Facts:
    """One deployment: vm ×2, each with one app; db ×1."""

    def __init__(self) -> None:
        self.runtime: dict[str, dict[str, Any]] = {
            "vm_1": {"ip": "10.0.0.1"},
            "vm_2": {"ip": "10.0.0.2"},
            "app_1": {"nested": {"list": [1, {"k": "v"}]}},
        }

    def inputs(self) -> Mapping[str, Any]:
        return {"size": 3}

    def node(self, name: str) -> Mapping[str, Any]:
        nodes: dict[str, dict[str, Any]] = {
            "vm": {
                "port": 80,
                "address": {"concat": [{"get_attribute": ["SELF", "ip"]}, ":", {"get_property": ["SELF", "port"]}]},
            },
            "app": {"password": {"get_secret": "pw"}, "config": {"get_secret": ["cfg", "db"]}},
            "db": {"ring": {"get_property": ["db", "ring"]}},
        }
        return {"properties": nodes[name]}

    def instance(self, instance_id: str) -> Mapping[str, Any]:
        node, number = instance_id.split("_")
        links = [{"target_id": f"vm_{number}", "target_name": "vm", "type": "c"}] if node == "app" else []
        return {
            "id": instance_id,
            "node_id": node,
            "index": int(number),
            "relationships": links,
            "runtime_properties": self.runtime.get(instance_id, {}),
        }

    def instances(self, node_name: str) -> Sequence[Mapping[str, Any]]:
        return [self.instance(f"{node_name}_{n}") for n in ([1] if node_name == "db" else [1, 2])]

    def secret(self, name: str) -> Any:
        return {"pw": "hunter2", "cfg": '{"db": {"host": "h"}}'}[name]

    def capability(self, deployment_id: str, name: str) -> Any:
        return {("d1", "c"): {"x": [7]}, ("d2", "c"): 2, ("parent", "c"): "p"}[deployment_id, name]

    def group_deployments(self, group_id: str) -> Sequence[str]:
        return {"g": ["d1", "d2"]}[group_id]

    def parent_deployment(self) -> str:
        return "parent"

    def labels(self) -> Mapping[str, Sequence[str]]:
        return {"env": ["a", "b"]}

    def system_fact(self, subject: str, name: str) -> Any:
        return {("deployment", "id"): "dep", ("tenant", "name"): "t"}[subject, name]

    def consumers(self) -> Sequence[Mapping[str, Any]]:
        return [{"id": "x", "display_name": "X"}]


APP = Scope(self_id="app_2")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"get_input": "size"}, 3),
        ({"get_attribute": ["vm", "ip"]}, "10.0.0.2"),
        ({"get_attribute": ["vm", "address"]}, "10.0.0.2:80"),
        ({"get_attribute": ["vm", "nothing"]}, None),
        ({"get_attribute": ["vm", "node_instance_id"]}, "vm_2"),
        ({"get_attribute": ["SELF", "node_instance_index"]}, 2),
        ({"get_attributes_list": ["vm", "ip"]}, ["10.0.0.1", "10.0.0.2"]),
        (
            {"get_attributes_dict": ["vm", "ip", ["port"]]},
            {"vm_1": {"ip": "10.0.0.1", "port": 80}, "vm_2": {"ip": "10.0.0.2", "port": 80}},
        ),
        ({"get_property": ["vm", "port"]}, 80),
        ({"get_capability": ["d1", "c", "x", 0]}, 7),
        ({"get_group_capability": ["g", "c"]}, {"d1": {"x": [7]}, "d2": 2}),
        ({"get_environment_capability": "c"}, "p"),
        ({"get_label": "env"}, ["a", "b"]),
        ({"get_label": ["env", 1]}, "b"),
        ({"get_sys": ["deployment", "id"]}, "dep"),
        ({"get_consumers": "ids"}, ["x"]),
        ({"get_consumers": "names"}, ["X"]),
        ({"get_consumers": "count"}, 1),
        ({"deep": [{"string_upper": {"get_sys": ["tenant", "name"]}}]}, {"deep": ["T"]}),
    ],
)
def test_a_function_yields(value: Any, expected: Any) -> None:
    assert evaluate(value, scope=APP, storage=Facts()) == expected


def test_an_attribute_is_followed_into_mappings_and_lists() -> None:
    value = {"get_attribute": ["SELF", "nested", "list", 1, "k"]}
    assert evaluate(value, scope=Scope(self_id="app_1"), storage=Facts()) == "v"


def test_source_and_target_mean_their_instances() -> None:
    scope = Scope(source_id="app_1", target_id="vm_1")
    assert evaluate({"get_attribute": ["TARGET", "ip"]}, scope=scope, storage=Facts()) == "10.0.0.1"
    assert evaluate({"get_attribute": ["SOURCE", "node_instance_id"]}, scope=scope, storage=Facts()) == "app_1"


def test_a_secret_stays_a_reference() -> None:
    assert evaluate({"get_secret": "pw"}, scope=APP, storage=Facts()) == {"$secret": "pw"}
    assert evaluate({"get_property": ["SELF", "config", "host"]}, scope=APP, storage=Facts()) == {
        "$secret": "cfg",
        "path": ["db", "host"],
    }


def test_what_is_made_of_a_secret_is_a_recipe_that_yields_the_same_as_the_values() -> None:
    value = {
        "a": {"concat": ["x-", {"string_upper": {"get_secret": "pw"}}]},
        "b": {"merge": [{"k": 1}, {"p": {"get_secret": "pw"}}]},
    }
    recipe = evaluate(value, scope=APP, storage=Facts())
    assert recipe["a"] == {"$concat": ["x-", {"$call": "string_upper", "args": [{"$secret": "pw"}]}]}
    assert has_markers(recipe)
    assert secret_names(recipe) == {"pw"}
    assert "hunter2" not in str(recipe)
    direct = evaluate(value, scope=APP, storage=Facts(), secret_values=True)
    assert redeem(recipe, {"pw": "hunter2"}, call) == direct == {"a": "x-HUNTER2", "b": {"k": 1, "p": "hunter2"}}


def test_data_that_looks_like_a_reference_names_no_secret() -> None:
    facts = Facts()
    facts.runtime["app_1"] = {"evil": {"$secret": "pw"}}
    found = evaluate({"get_attribute": ["SELF", "evil"]}, scope=Scope(self_id="app_1"), storage=facts)
    assert secret_names(found) == set()
    assert redeem(found, {}, call) == {"$secret": "pw"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"get_input": "zz"}, "no input 'zz'"),
        ({"get_attribute": ["zz", "a"]}, "'zz'"),
        ({"get_attribute": ["SOURCE", "a"]}, "SOURCE has no meaning here"),
        ({"get_property": ["db", "ring"]}, "refer to themselves"),
        ({"get_capability": ["zz", "c"]}, "get_capability"),
        ({"get_label": "zz"}, "label 'zz'"),
        ({"get_sys": ["deployment", "zz"]}, "get_sys"),
        ({"get_consumers": "zz"}, "not ids, names or count"),
        ({"get_input": {"get_secret": "pw"}}, "depends on a secret"),
    ],
)
def test_a_function_fails_and_says_why(value: Any, message: str) -> None:
    with pytest.raises(FunctionFailed, match=message):
        evaluate(value, scope=APP, storage=Facts())


def test_among_several_unrelated_instances_none_is_chosen() -> None:
    with pytest.raises(FunctionFailed, match="2 instances"):
        evaluate({"get_attribute": ["vm", "ip"]}, scope=Scope(self_id="db_1"), storage=Facts())
