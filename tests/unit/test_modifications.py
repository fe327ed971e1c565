"""Modifications of a deployment by workflow functions: two steps, each of which may be asked for more than once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outrider.dispatcher import modifications
from outrider.dispatcher.model import Model
from outrider.dispatcher.modifications import ModificationRefused
from outrider.dispatcher.workflows import PlanError
from tests.support.workflow_world import World, world

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
node_templates:
  host:
    type: cloudify.nodes.Root
    capabilities: {scalable: {properties: {default_instances: 2, min_instances: 1, max_instances: 4}}}
  app:
    type: cloudify.nodes.Root
    relationships: [{type: cloudify.relationships.contained_in, target: host}]
  client:
    type: cloudify.nodes.Root
    relationships: [{type: cloudify.relationships.connected_to, target: app}]
"""


class Asker:
    """A workflow function that asks about modifications, each question in a transaction of its own."""

    def __init__(self, made: World, execution_id: str = "e") -> None:
        self._world = made
        self._execution_id = execution_id

    def ask(self, what: Any, **payload: Any) -> Mapping[str, Any]:
        with self._world.database.begin() as connection:
            model = Model.load(connection, ("default_tenant", "app"), {})
            run = SimpleNamespace(id=self._execution_id, model=model, execution=SimpleNamespace(dry_run=False))
            turn = SimpleNamespace(connection=connection, stored_now=1.0)
            answer: Mapping[str, Any] = what(turn, run, payload)
            return answer

    def start(self, count: int, name: str = "modification-1", **hints: Any) -> Mapping[str, Any]:
        return self.ask(modifications.start, name=name, nodes={"host": {"instances": count, **hints}})

    def nodes(self) -> list[str]:
        return sorted(each.node for each in self._world.instances().values())

    def links(self) -> int:
        return sum(len(each.relationships) for each in self._world.instances().values() if each.node == "client")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, {"first": BLUEPRINT}) as opened:
        yield opened


def test_a_modification_adds_at_once_and_is_final_when_it_is_finished(made: World) -> None:
    asker = Asker(made)
    started = asker.start(3)
    assert len(started["added"]) == 2  # a host, and the app on it
    assert len(started["added_related"]) == 1  # the client
    assert asker.links() == 3
    asker.ask(modifications.finish, id=started["id"])
    assert asker.nodes() == ["app"] * 3 + ["client"] + ["host"] * 3
    assert not any(each.system_properties for each in made.instances().values())
    assert asker.ask(modifications.list_started) == {"started": []}


def test_a_question_that_is_asked_again_changes_nothing(made: World) -> None:
    asker = Asker(made)
    started = asker.start(3)
    assert asker.start(3) == started
    asker.ask(modifications.finish, id=started["id"])
    asker.ask(modifications.finish, id=started["id"])
    assert asker.start(3)["state"] == "finished"
    assert asker.nodes().count("host") == 3
    with pytest.raises(ModificationRefused, match="finished already"):
        asker.ask(modifications.roll_back, id=started["id"])


def test_a_modification_that_is_rolled_back_leaves_what_was_there(made: World) -> None:
    asker = Asker(made)
    before = made.state()
    asker.ask(modifications.roll_back, id=asker.start(4)["id"])
    assert made.state() == before
    assert asker.links() == 2
    assert asker.start(3, "modification-2")["before"] == {"host": 2}


def test_what_a_modification_removes_stays_linked_until_it_is_finished(made: World) -> None:
    asker = Asker(made)
    keep = next(each.id for each in made.instances().values() if each.node == "host")
    started = asker.start(1, removed_ids_exclude_hint=[keep])
    assert (len(started["removed"]), asker.links(), asker.nodes().count("host")) == (2, 2, 2)
    asker.ask(modifications.finish, id=started["id"])
    assert (asker.links(), [each.id for each in made.instances().values() if each.node == "host"]) == (1, [keep])


def test_one_modification_at_a_time(made: World) -> None:
    Asker(made).start(3)
    with pytest.raises(ModificationRefused, match="e:modification-1 of host is started already"):
        Asker(made, "other").start(4)


@pytest.mark.parametrize("count", [0, 5])
def test_the_declared_limits_hold(made: World, count: int) -> None:
    with pytest.raises(PlanError, match="at least 1 and at most 4"):
        Asker(made).start(count)


def test_what_nobody_started_cannot_be_ended(made: World) -> None:
    with pytest.raises(ModificationRefused, match="no modification 'e:modification-7'"):
        Asker(made).ask(modifications.finish, id="e:modification-7")
