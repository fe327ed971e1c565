"""Recipes made of secrets mean to an agent what they mean to the dispatcher, and reach the operation followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outrider.agent.secrets import fill_in
from outrider.dispatcher.blueprint.functions.markers import redeem
from outrider.dispatcher.blueprint.functions.text_functions import call
from outrider.dispatcher.store import deployments
from tests.support.engines import DEPLOYMENT, bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent

SECRETS = {"s": "Word", "t": '{"k": [0, "two"]}', "map": {"a": 1}}


@pytest.mark.parametrize(
    "value",
    [
        {"$secret": "s"},
        {"$secret": "t", "path": ["k", 1]},
        {"$concat": ["a-", {"$secret": "s"}, 1, {"$secret": "t", "path": ["k", "1"]}]},
        {"deep": [{"$concat": [{"$concat": ["<", {"$secret": "s"}]}, ">"]}]},
        {"$call": "string_upper", "args": [{"$secret": "s"}]},
        {"$call": "string_lower", "args": [{"$concat": ["A", {"$secret": "s"}]}]},
        {"$call": "string_replace", "args": [{"$secret": "s"}, "o", "0"]},
        {"$call": "string_replace", "args": [{"$secret": "s"}, "o", "0", 0]},
        {"$call": "string_find", "args": [{"$secret": "s"}, "r"]},
        {"$call": "string_split", "args": [{"$secret": "s"}, "o"]},
        {"$call": "string_split", "args": [{"$secret": "s"}, "o", 1]},
        {"$call": "merge", "args": [{"$secret": "map"}, {"b": {"$secret": "s"}}]},
        {"$literal": {"$secret": "s"}},
        {"a": {"$literal": {"$concat": ["x"]}}, "b": None},
    ],
)
def test_every_form_means_to_an_agent_what_it_means_to_the_dispatcher(value: Any) -> None:
    assert fill_in(value, SECRETS) == redeem(value, SECRETS, call)


def test_a_secret_inside_a_concat_travels_as_a_recipe_and_is_followed_by_the_agent(tmp_path: Path) -> None:
    inputs = {"url": {"concat": ["db://", {"get_secret": "password"}, "@", {"get_property": ["SELF", "host"]}]}}
    with bench(tmp_path, one_stage(chain(operation("a"))), inputs=inputs) as made:
        with made.database.begin() as connection:
            nodes = deployments.nodes_of(connection, DEPLOYMENT)
            deployments.replace_nodes(connection, DEPLOYMENT, [{**nodes["node"], "properties": {"host": "db-1"}}])
        agent = ScriptedAgent(made.transport)
        made.ended(made.start())
        (task,) = agent.tasks
        assert task.secrets == ("password",)
        assert "hunter2" not in str(task)
        assert fill_in(task.inputs, {"password": "hunter2"}) == {"url": "db://hunter2@db-1"}
