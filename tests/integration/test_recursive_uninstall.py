"""`uninstall` with `recursive`: the deployments inside go first, and what becomes of them decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from outrider.dispatcher.store import instances
from outrider.dispatcher.store.executions import Execution, Status
from tests.support import workflow_world
from tests.support.postgres import new_database
from tests.support.workflow_world import Broken, World, world

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  app: {{executor: central_deployment_agent, package_name: app, package_version: "1.0", install: false}}
node_templates:
  {node}:
    type: cloudify.nodes.Root
    interfaces: {{cloudify.interfaces.lifecycle: {{delete: app.tasks.delete}}}}
"""
NAMES = ("app", "inside", "innermost", "beside")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    """A deployment ``app``, ``inside`` and ``beside`` in it, ``innermost`` in ``inside``; each has one node."""
    with world(tmp_path / "world", {name: BLUEPRINT.format(node=f"of_{name}") for name in NAMES}) as found:
        for name, parent in (("inside", "app"), ("innermost", "inside"), ("beside", "app")):
            found.dispatcher.create_deployment(name, name, details={"labels": {"csys-obj-parent": [parent]}})
        yield found


def run(made: World, workflow: str, deployment: str, *, die_every: int | None = None, **parameters: bool) -> Execution:
    return made.finish(made.dispatcher.start(workflow, deployment, parameters), die_every=die_every)


def install(made: World, *names: str) -> None:
    for name in names:
        assert run(made, "install", name).status is Status.TERMINATED


def states(made: World) -> dict[str, str]:
    found = {}
    with made.database.read() as connection:
        for name in NAMES:
            [instance] = instances.of_deployment(connection, ("default_tenant", name)).values()
            found[name] = instance.state
    return found


@pytest.mark.parametrize("die_every", [None, 1])
def test_the_deployments_inside_go_first_innermost_before_all(made: World, die_every: int | None) -> None:
    install(made, *NAMES)
    ended = run(made, "uninstall", "app", recursive=True, die_every=die_every)
    assert ended.status is Status.TERMINATED, ended.error
    assert set(states(made).values()) == {"deleted"}
    assert sorted(made.ran) == sorted(f"of_{name}:delete" for name in NAMES)
    assert made.ran[-1] == "of_app:delete"
    assert made.ran.index("of_innermost:delete") < made.ran.index("of_inside:delete")


def test_one_waits_for_what_is_inside_also_where_text_is_sorted_as_in_a_dictionary(tmp_path: Path) -> None:
    text = {name: BLUEPRINT.format(node=f"of_{name}") for name in ("app", "inside")}
    with world(tmp_path / "world", text, database_url=new_database(language="en-US")) as made:
        made.dispatcher.create_deployment("inside", "inside", details={"labels": {"csys-obj-parent": ["app"]}})
        install(made, "app", "inside")
        assert run(made, "uninstall", "app", recursive=True).status is Status.TERMINATED
        assert made.ran == ["of_inside:delete", "of_app:delete"]


def test_what_is_not_installed_is_passed_over(made: World) -> None:
    install(made, "app", "beside")
    assert run(made, "uninstall", "app", recursive=True).status is Status.TERMINATED
    assert made.ran == ["of_beside:delete", "of_app:delete"]
    assert states(made)["inside"] == "uninitialized"


def test_a_failure_inside_fails_all_before_anything_else_is_touched_and_a_resume_goes_on(made: World) -> None:
    install(made, *NAMES)

    def broken(_operation: str, node: str) -> None:
        if node == "of_innermost":
            raise Broken("it is in use")

    made.behaviour = broken
    failed = run(made, "uninstall", "app", recursive=True)
    assert failed.status is Status.FAILED
    assert "deployments inside" in (failed.error or "")
    assert "it is in use" in (failed.error or "")
    assert {name: state for name, state in states(made).items() if state != "deleted"} == {
        "app": "started",
        "inside": "started",
        "innermost": "deleting",
    }
    made.behaviour = lambda _operation, _node: None
    made.dispatcher.resume(failed.id)
    assert made.finish(failed).status is Status.TERMINATED
    assert set(states(made).values()) == {"deleted"}


def test_a_failure_inside_may_be_ignored(made: World) -> None:
    install(made, *NAMES)

    def broken(_operation: str, node: str) -> None:
        if node == "of_beside":
            raise Broken("it is in use")

    made.behaviour = broken
    assert run(made, "uninstall", "app", recursive=True, ignore_failure=True).status is Status.TERMINATED
    assert states(made)["app"] == "deleted"


def test_one_waits_for_what_is_inside_and_says_so(made: World) -> None:
    install(made, *NAMES)
    started = made.dispatcher.start("uninstall", "app", {"recursive": True})
    made.turn_until(lambda: any("deployments inside" in each.waits_for for each in made.dispatcher.why(started.id)))
    assert made.finish(started).status is Status.TERMINATED


def test_those_that_wait_leave_their_places_to_what_they_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_world, "QUICK", replace(workflow_world.QUICK, max_executions=1))
    text = {name: BLUEPRINT.format(node=f"of_{name}") for name in ("app", "inside")}
    with world(tmp_path / "world", text) as made:
        made.dispatcher.create_deployment("inside", "inside", details={"labels": {"csys-obj-parent": ["app"]}})
        install(made, "app", "inside")
        assert run(made, "uninstall", "app", recursive=True).status is Status.TERMINATED


def test_deployments_in_a_ring_end(tmp_path: Path) -> None:
    with world(tmp_path / "world", {"app": BLUEPRINT.format(node="of_app")}) as made:
        labels = {"labels": {"csys-obj-parent": ["two"]}}
        made.dispatcher.create_deployment("one", "app", details=labels)
        made.dispatcher.create_deployment("two", "app", details={"labels": {"csys-obj-parent": ["one"]}})
        install(made, "one", "two")
        assert run(made, "uninstall", "one", recursive=True).status is Status.TERMINATED
        assert made.ran == ["of_app:delete"] * 2
