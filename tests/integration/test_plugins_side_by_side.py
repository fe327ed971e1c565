"""On one agent, in one execution: plugins whose requirements conflict, and two versions of one plugin.

Each lives in an environment of its own; and those that come later are prepared while the first ones run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.cli.home import Home
from outrider.cli.local import Local, opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store.executions import Status
from tests.support.wagons import WagonMaker, wheel_bytes

BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
plugins:
  red: {executor: central_deployment_agent, package_name: red, package_version: "1.0"}
  newer: {executor: central_deployment_agent, package_name: red, package_version: "2.0"}
  blue: {executor: central_deployment_agent, package_name: blue}
node_templates:
  first:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: red.red_plugin.note}}
  second:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: blue.blue_plugin.note, start: red.red_plugin.note_again}}
    relationships: [{type: cloudify.relationships.depends_on, target: first}]
  third:
    type: cloudify.nodes.Root
    interfaces: {cloudify.interfaces.lifecycle: {create: newer.red_plugin.note}}
    relationships: [{type: cloudify.relationships.depends_on, target: second}]
outputs:
  first: {value: {get_attribute: [first, saw]}}
  second: {value: {get_attribute: [second, saw]}}
  again: {value: {get_attribute: [second, saw_again]}}
  third: {value: {get_attribute: [third, saw]}}
"""
CODE = """\
import shared_library
from outrider.plugins.sdk import ctx, operation

OWN = "{name} {version}"


@operation
def note(**_):
    ctx.instance.runtime_properties["saw"] = [OWN, shared_library.VERSION]


@operation
def note_again(**_):
    ctx.instance.runtime_properties["saw_again"] = [OWN, shared_library.VERSION]
"""


def wagon(folder: Path, name: str, version: str, *, library: str) -> Path:
    """Write a plugin's wagon, with the version of the shared library that it insists on."""
    code = CODE.format(name=name, version=version).encode()
    plugin = wheel_bytes(
        name, version, files={f"{name}_plugin.py": code}, metadata=[f"Requires-Dist: shared-library=={library}"]
    )
    shared = wheel_bytes("shared_library", library, files={"shared_library.py": f"VERSION = {library!r}\n".encode()})
    wheels = {
        f"{name}-{version}-py3-none-any.whl": plugin,
        f"shared_library-{library}-py3-none-any.whl": shared,
    }
    place = folder / f"{name}-{version}"
    place.mkdir()
    return WagonMaker(name=name, version=version, wheels=wheels).write(place)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    home = Home(tmp_path / "home")
    with opened(CommandSettings(home, ConnectionSettings(), EngineSettings(max_retries=0), {})) as running:
        for name, version, library in (("red", "1.0", "1.0"), ("red", "2.0", "3.0"), ("blue", "1.0", "2.0")):
            file = wagon(tmp_path, name, version, library=library)
            register(running.dispatcher.database, ContentStore(home.files), file)
        yield running


def test_conflicting_plugins_and_two_versions_of_one_serve_one_execution(
    local: Local, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="outrider.agent.prewarm")
    blueprint = tmp_path / "blueprint" / "blueprint.yaml"
    blueprint.parent.mkdir()
    blueprint.write_text(BLUEPRINT)
    local.dispatcher.create_blueprint("site", blueprint)
    local.dispatcher.create_deployment("site", "site")

    ended = local.dispatcher.run("install", "site", timeout_seconds=100)

    assert ended.status is Status.TERMINATED, ended.error
    assert local.dispatcher.outputs("site") == {
        "first": ["red 1.0", "1.0"],
        "second": ["blue 1.0", "2.0"],
        "again": ["red 1.0", "1.0"],
        "third": ["red 2.0", "3.0"],
    }
    environments = sorted(path.name[:3] for path in (local.settings.home.agent / "plugins" / "red").iterdir())
    assert environments == ["1.0", "2.0"]
    prepared = {record.getMessage().partition(" prepared")[0] for record in caplog.records}
    assert prepared == {"plugin blue 1.0", "plugin red 2.0"}
