"""What is read of a plugin's wagon when it is taken in: descriptions and names, never code."""

from __future__ import annotations

from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import BlueprintInvalid, Settings, load
from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.store.database import Database
from outrider.manager_stub.catalogue import TenantPlugins
from tests.support.wagons import WagonMaker, wheel_bytes

POINTS = "[cloudify.tosca.ext.functions]\nRandom_name = demo:Function\n[console_scripts]\ndemo = demo:main\n"
BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: ['plugin:demo']
outputs: {{found: {{value: {{{name}: [8]}}}}}}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    database = Database(str(tmp_path / "store.db"))
    files = {"demo.py": b"raise RuntimeError('nobody imports this')", "plugin.yaml": b"plugins: {}"}
    wheel = wheel_bytes(files=files, entry_points=POINTS)
    maker = WagonMaker(wheels={"demo-1.0-py3-none-any.whl": wheel})
    plugin = register(database, ContentStore(tmp_path / "files"), maker.write(tmp_path))
    assert plugin.details["functions"] == ["Random_name"]
    return Settings(plugins=TenantPlugins(database, "default_tenant"))


def test_a_blueprint_that_calls_a_function_of_its_plugin_is_refused_by_name(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "blueprint.yaml"
    path.write_text(BLUEPRINT.format(name="Random_name"))
    with pytest.raises(BlueprintInvalid, match=r"Random_name is a function of plugin:demo 1\.0") as refused:
        load(path, settings=settings)
    assert [each.kind.label for each in refused.value.errors] == ["function-foreign"]
    path.write_text(BLUEPRINT.format(name="random_name"))
    assert load(path, settings=settings).plan["outputs"]["found"]["value"] == {"random_name": [8]}
