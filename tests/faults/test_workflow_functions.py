"""A dispatcher is killed while a plugin's workflow function waits for its graph: another one goes on with both."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from outrider.dispatcher.store.executions import Status
from tests.faults.conftest import OpenInstallation
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 60.0

PLUGIN = textwrap.dedent(
    """
    from pathlib import Path
    from threading import Event

    from cloudify.decorators import operation, workflow


    @operation
    def wait_for(ctx, folder, **_):
        with open(folder + "/calls", "a") as file:
            file.write("operation ")
        while not Path(folder, "go").exists():
            Event().wait(0.05)


    @workflow
    def held(ctx, folder, **_):
        with open(folder + "/calls", "a") as file:
            file.write("function ")
        graph = ctx.graph_mode()
        sequence = graph.sequence()
        for instance in ctx.node_instances:
            for _ in range(2):
                sequence.add(instance.execute_operation("test.wait_for", kwargs={"folder": folder}))
        graph.execute()
    """
)

BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  held: {executor: central_deployment_agent, source: held.py}
node_types:
  test.Held:
    derived_from: cloudify.nodes.Root
    interfaces: {test: {wait_for: {implementation: held.held.wait_for, inputs: {folder: {default: ""}}}}}
node_templates: {one: {type: test.Held}}
workflows: {held: {mapping: held.held.held, parameters: {folder: {}}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_function_goes_on_with_the_dispatcher_that_adopts_its_execution(
    open_installation: OpenInstallation, tmp_path: Path
) -> None:
    installation = open_installation(slots=1)
    folder = tmp_path / "blueprint"
    folder.mkdir()
    (folder / "held.py").write_text(PLUGIN)
    (folder / "blueprint.yaml").write_text(BLUEPRINT)
    installation.deploy(folder / "blueprint.yaml", "held")
    first = installation.add_dispatcher()
    installation.add_agent()
    execution_id = installation.client.start("held", "held", {"folder": str(folder)}).id
    calls = folder / "calls"
    wait_until(
        lambda: calls.exists() and "operation" in calls.read_text(), PATIENCE_SECONDS, "the first operation to run"
    )
    first_owner = installation.execution(execution_id).owner

    first.kill()
    installation.add_dispatcher()
    wait_until(lambda: installation.execution(execution_id).owner != first_owner, PATIENCE_SECONDS, "its adoption")
    (folder / "go").touch()

    assert installation.ended(execution_id, within_seconds=PATIENCE_SECONDS).status is Status.TERMINATED
    assert calls.read_text().split() == ["function", "operation", "operation"]
