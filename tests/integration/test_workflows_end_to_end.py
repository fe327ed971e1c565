"""Every built-in workflow, from the blueprint to what is stored in the end, also when dispatchers die meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from outrider.dispatcher.store.executions import Execution, Status
from outrider.dispatcher.workflows import BUILT_IN
from tests.support.workflow_world import Broken, World, world

_HEAD = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs:
  color: {default: red}
plugins:
  app: {executor: central_deployment_agent, package_name: app, package_version: "1.0", install: false}
node_types:
  app.Service:
    derived_from: cloudify.nodes.Root
    properties:
      color: {default: {get_input: color}}
    interfaces:
      cloudify.interfaces.lifecycle:
        create: {implementation: app.tasks.create, inputs: {color: {default: {get_property: [SELF, color]}}}}
        configure: {implementation: app.tasks.configure}
        start: {implementation: app.tasks.start}
        stop: {implementation: app.tasks.stop}
        delete: {implementation: app.tasks.delete}
        pull: {implementation: app.tasks.pull}
        check_drift: {implementation: app.tasks.check_drift}
        update: {implementation: app.tasks.update}
      cloudify.interfaces.validation:
        check_status: {implementation: app.tasks.check_status}
  app.Healing:
    derived_from: app.Service
    interfaces:
      cloudify.interfaces.lifecycle:
        heal: {implementation: app.tasks.heal}
relationships:
  app.uses:
    derived_from: cloudify.relationships.connected_to
    source_interfaces:
      cloudify.interfaces.relationship_lifecycle:
        establish: {implementation: app.tasks.establish}
        unlink: {implementation: app.tasks.unlink}
    target_interfaces:
      cloudify.interfaces.relationship_lifecycle:
        establish: {implementation: app.tasks.establish}
outputs:
  database: {value: {get_attribute: [database, made_by]}}
"""

FIRST = (
    _HEAD
    + """
node_templates:
  host:
    type: app.Service
  database:
    type: app.Healing
    relationships: [{type: cloudify.relationships.contained_in, target: host}]
  web:
    type: app.Service
    capabilities: {scalable: {properties: {default_instances: 2, max_instances: 4}}}
    relationships: [{type: app.uses, target: database}]
  cache:
    type: app.Service
    relationships: [{type: app.uses, target: web}]
"""
)

SECOND = (
    _HEAD
    + """
node_templates:
  host:
    type: app.Service
  database:
    type: app.Healing
    properties: {color: blue}
    relationships: [{type: cloudify.relationships.contained_in, target: host}]
  web:
    type: app.Service
    capabilities: {scalable: {properties: {default_instances: 2, max_instances: 4}}}
    relationships: [{type: app.uses, target: database}]
  proxy:
    type: app.Service
    relationships: [{type: app.uses, target: web}]
"""
)


BLUEPRINTS = {"first": FIRST, "second": SECOND}
#: After so many operations a dispatcher dies; the promise is about every tenth.
DIE_EVERY = 3


def quiet(_operation: str, _node: str) -> None:
    """Let every operation succeed."""


def failing(operation: str, node: str) -> Callable[[str, str], Any]:
    """Return the behaviour in which one operation of one node fails."""

    def behave(called: str, on: str) -> None:
        if (called, on) == (operation, node):
            raise Broken(f"{operation} of {node} is broken")

    return behave


def also_failing(behaviour: Callable[[str, str], Any], operation: str, node: str) -> Callable[[str, str], Any]:
    """Return a behaviour in which one more operation fails."""

    def behave(called: str, on: str) -> Any:
        failing(operation, node)(called, on)
        return behaviour(called, on)

    return behave


def drifting(operation: str, node: str) -> Any:
    """Let the database have drifted."""
    return ["size"] if (operation, node) == ("check_drift", "database") else None


@dataclass(frozen=True)
class Case:
    """One workflow to run, and what it is expected to come to."""

    workflow: str
    parameters: dict[str, Any]
    behaviour: Callable[[str, str], Any] = quiet
    status: Status = Status.TERMINATED
    #: What an earlier install does.
    before: Callable[[str, str], Any] | None = quiet
    force: bool = False

    def start(self, made: World) -> Execution:
        """Bring the deployment where the workflow begins, and start it."""
        if self.before is not None:
            made.behaviour = self.before
            made.run("install", wait_after_fail_seconds=5.0)
            made.ran.clear()
        made.behaviour = self.behaviour
        asked = Execution(id="", workflow=self.workflow, force=self.force)
        if self.workflow == "update":
            return made.dispatcher.update("app", blueprint_id="second", parameters=self.parameters, execution=asked)
        return made.dispatcher.start(self.workflow, "app", self.parameters, execution=asked)


_OPERATION = {"operation": "cloudify.interfaces.lifecycle.configure", "run_by_dependency_order": True}

CASES = {
    "install": Case("install", {}, before=None),
    "install that fails": Case("install", {}, failing("start", "web"), Status.FAILED, before=None),
    "uninstall": Case("uninstall", {}),
    "uninstall that ignores failures": Case("uninstall", {"ignore_failure": True}, failing("stop", "web")),
    "reinstall": Case("reinstall", {}),
    "start": Case("start", {}, force=True),
    "stop": Case("stop", {}),
    "restart": Case("restart", {}),
    "execute_operation": Case("execute_operation", _OPERATION),
    "heal by healing": Case("heal", {}, failing("check_status", "database")),
    "heal by reinstalling": Case("heal", {}, failing("check_status", "web")),
    "heal that cannot heal": Case("heal", {"allow_reinstall": False}, failing("check_status", "web"), Status.FAILED),
    "scale out": Case("scale", {"scalable_entity_name": "web", "delta": 2}),
    "scale out without rollback": Case(
        "scale", {"scalable_entity_name": "web", "delta": 1, "rollback_if_failed": False}
    ),
    "scale in": Case("scale", {"scalable_entity_name": "web", "delta": -1}),
    "scale out that fails": Case(
        "scale", {"scalable_entity_name": "web", "delta": 1}, failing("start", "web"), Status.FAILED
    ),
    "update": Case("update", {}),
    "update of what has drifted": Case("update", {}, drifting),
    "update by reinstalling what could not be updated": Case(
        "update", {}, also_failing(drifting, "update", "database")
    ),
    "update that may not reinstall": Case(
        "update", {"skip_reinstall": True}, also_failing(drifting, "update", "database"), Status.FAILED
    ),
    "update by healing": Case("update", {}, failing("check_status", "database")),
    "update by reinstalling what is ill": Case("update", {}, failing("check_status", "web")),
    "update that installs first": Case("update", {"install_first": True}, drifting),
    "update by reinstalling": Case("update", {"force_reinstall": True, "skip_drift_check": True}),
    "rollback": Case("rollback", {}, before=failing("start", "web")),
    "full rollback": Case("rollback", {"full_rollback": True}, before=failing("start", "web")),
    "check_status": Case("check_status", {}),
    "check_status of what is ill": Case("check_status", {}, failing("check_status", "web"), Status.FAILED),
    "check_drift": Case("check_drift", {}, drifting),
    "pull": Case("pull", {}),
}


def test_every_workflow_is_among_the_cases() -> None:
    # These two need hosts with agents; the installer's tests run them.
    assert {case.workflow for case in CASES.values()} == set(BUILT_IN) - {"install_new_agents", "validate_agents"}


@dataclass(frozen=True)
class End:
    """What a workflow came to."""

    state: dict[str, Any]
    operations: Counter[str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], End]:
    """Return what tells how a case ends when nobody dies and nobody interferes; each case runs once."""

    @cache
    def ended(name: str) -> End:
        case = CASES[name]
        with world(tmp_path_factory.mktemp("undisturbed"), BLUEPRINTS) as made:
            execution = made.finish(case.start(made))
            assert execution.status is case.status, execution.error
            return End(made.state(), Counter(made.ran))

    return ended


@pytest.mark.parametrize("name", CASES)
def test_a_workflow_whose_dispatchers_die_comes_to_the_same_end(
    name: str, undisturbed: Callable[[str], End], tmp_path: Path
) -> None:
    case, expected = CASES[name], undisturbed(name)
    with world(tmp_path, BLUEPRINTS) as made:
        execution = made.finish(case.start(made), die_every=DIE_EVERY)
        assert execution.status is case.status, execution.error
        assert made.dispatchers > 1 or len(made.ran) < DIE_EVERY
        assert made.state() == expected.state
        # Nothing is left out, and nothing runs twice.
        assert Counter(made.ran) == expected.operations


#: The operation that fails at first. (`check_status` is not here: it keeps the failure as the previous status.)
BROKEN = {
    "install": ("create", "web"),
    "uninstall": ("delete", "web"),
    "reinstall": ("create", "cache"),
    "start": ("start", "web"),
    "stop": ("stop", "database"),
    "restart": ("start", "web"),
    "execute_operation": ("configure", "web"),
    "scale out without rollback": ("establish", "web"),
    "scale in": ("stop", "web"),
    "heal by reinstalling": ("create", "web"),
    "update": ("create", "proxy"),
    "update that installs first": ("create", "proxy"),
    "update by reinstalling what could not be updated": ("create", "database"),
    "check_drift": ("check_drift", "web"),
    "pull": ("pull", "web"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_failed_workflow_that_is_resumed_comes_to_the_end_of_one_that_never_failed(
    name: str, undisturbed: Callable[[str], End], tmp_path: Path
) -> None:
    case = CASES[name]
    with world(tmp_path, BLUEPRINTS) as made:
        broken = replace(case, behaviour=also_failing(case.behaviour, *BROKEN[name]))
        failed = made.finish(broken.start(made), die_every=DIE_EVERY)
        assert failed.status is Status.FAILED
        made.behaviour = case.behaviour
        made.dispatcher.resume(failed.id)
        ended = made.finish(failed, die_every=DIE_EVERY)
        assert ended.status is case.status, ended.error
        assert made.state() == undisturbed(name).state


@pytest.mark.parametrize("name", ["install", "uninstall", "update by reinstalling", "scale in", "full rollback"])
def test_a_cancelled_workflow_that_is_resumed_comes_to_the_end_of_one_that_never_was(
    name: str, undisturbed: Callable[[str], End], tmp_path: Path
) -> None:
    with world(tmp_path, BLUEPRINTS) as made:
        started = CASES[name].start(made)
        made.turn_until(lambda: len(made.ran) > 1)
        made.dispatcher.cancel(started.id)
        assert made.finish(started, die_every=DIE_EVERY).status is Status.CANCELLED
        made.dispatcher.resume(started.id)
        assert made.finish(started, die_every=DIE_EVERY).status is Status.TERMINATED
        assert made.state() == undisturbed(name).state


def test_what_a_failed_create_left_is_deleted_before_it_is_created_again(tmp_path: Path) -> None:
    with world(tmp_path, BLUEPRINTS) as made:
        failed = made.finish(replace(CASES["install"], behaviour=failing("create", "database")).start(made))
        made.ran.clear()
        made.behaviour = quiet
        made.dispatcher.resume(failed.id)
        made.finish(failed)
        assert made.ran[:3] == ["database:delete", "database:create", "database:configure"]
