"""The compatible facade: `ctx` and what belongs to it, as existing plugins use them."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outrider.plugins.sdk.testing import call, instance_data, made_up_context
from tests.support.facade import facade_on_path

RELATED = {
    "type": "cloudify.relationships.connected_to",
    "type_hierarchy": ["cloudify.relationships.depends_on", "cloudify.relationships.connected_to"],
    "target_node": "db",
    "target_instance": "db_1",
    "target_node_type": "db.Type",
    "target_runtime_properties": {"port": 5432},
}


@pytest.fixture(autouse=True)
def facade() -> Iterator[str]:
    with facade_on_path() as site:
        yield site


def load(name: str) -> Any:
    """Import a module of the facade."""
    return importlib.import_module(name)


def test_outside_an_operation_ctx_raises_what_plugins_expect() -> None:
    ctx = load("cloudify").ctx
    with pytest.raises(RuntimeError):
        _ = ctx.instance
    assert not hasattr(ctx, "instance")
    assert not ctx


def test_an_operation_of_an_existing_plugin_gets_the_facades_context() -> None:
    cloudify = load("cloudify")
    operation = load("cloudify.decorators").operation

    @operation(resumable=True, stray="argument")  # type: ignore[untyped-decorator]  # the facade is untyped
    def create(ctx: Any, **kwargs: Any) -> Any:
        assert ctx is cloudify.ctx._get_current_object()
        assert isinstance(cloudify.ctx, load("cloudify.context").CloudifyContext)
        assert cloudify.ctx_parameters.size == kwargs["size"] == 3
        with pytest.raises(KeyError):
            _ = cloudify.ctx_parameters.missing
        ctx.instance.runtime_properties["a"]["b"] = 1
        return [ctx.type, ctx.node.type, ctx.operation.name.split(".")[-1], ctx.deployment.id, ctx.tenant_name]

    run = call(create, inputs={"size": 3}, runtime_properties={"a": {}})
    assert run.value_or_raise() == ["node-instance", "cloudify.nodes.Root", "create", "deployment", "default_tenant"]
    assert run.runtime_properties == {"a": {"b": 1}}


def test_the_decorator_never_wraps_and_can_be_called_as_a_function() -> None:
    operation = load("cloudify.decorators").operation

    def plain() -> None: ...

    assert operation(plain) is plain
    assert operation(func=plain, resumable=True) is plain
    assert plain.resumable is True
    assert load("cloudify.decorators").workflow(system_wide=True)(plain) is plain


def test_runtime_properties_track_and_refuse_as_plugins_know_it() -> None:
    tracking = load("cloudify.manager").DirtyTrackingDict
    properties = tracking({"a": 1})
    assert (properties.dirty, properties.modifiable) == (False, True)
    assert properties.pop("missing") is None
    properties._set_changed()
    assert properties.dirty
    twin = copy.deepcopy(properties)
    assert (type(twin), twin, twin.dirty) == (tracking, {"a": 1}, True)
    assert type(properties.copy()) is dict


def test_update_saves_at_once_and_asks_a_conflict_handler_once() -> None:
    seen: list[Any] = []

    def on_conflict(mine: Any, theirs: Any) -> Any:
        seen.append((mine, theirs))
        return {**mine, "merged": True}

    def create(ctx: Any, **_: Any) -> None:
        ctx.instance.runtime_properties["id"] = 1
        ctx.instance.update(on_conflict)
        assert ctx.instance.runtime_properties.dirty is False
        ctx.instance.runtime_properties = {"only": 1}

    load("cloudify")
    run = call(create)
    assert run.value_or_raise() is None
    assert len(seen) == 1
    assert [(save.set, save.delete, save.replace) for save in run.saves] == [
        ({"id": 1, "merged": True}, [], False),
        ({"only": 1}, ["id", "merged"], True),
    ]


def test_relationships_can_be_read_and_not_changed() -> None:
    ctx = load("cloudify").ctx
    refused = load("cloudify.exceptions").NonRecoverableError
    with made_up_context(node=instance_data(relationships=[RELATED])):
        relationship = ctx.instance.relationships[0]
        assert relationship.type_hierarchy[-1] == relationship.type
        assert (relationship.target.node.id, relationship.target.node.type) == ("db", "db.Type")
        with pytest.raises(refused):
            relationship.target.instance.runtime_properties["port"] = 1
        with pytest.raises(refused):
            ctx.node.properties["a"] = 1
        assert ctx.capabilities["port"] == 5432
        assert "port" in ctx.capabilities
        with pytest.raises(refused, match="no target has"):
            _ = ctx.capabilities["nothing"]


def test_relationship_operations_have_source_and_target() -> None:
    def establish(ctx: Any, **_: Any) -> Any:
        ctx.target.instance.runtime_properties["clients"] = [ctx.source.instance.id]
        with pytest.raises(load("cloudify.exceptions").NonRecoverableError, match=r"ctx\.source and ctx\.target"):
            _ = ctx.instance
        return [ctx.type, ctx.source._context.get("node_id"), ctx._context["related"]["is_target"]]

    load("cloudify")
    run = call(establish, source=instance_data(node="app"), target=instance_data(node="db"))
    assert run.value_or_raise() == ["relationship-instance", "app_1", True]
    assert run.stored["db_1"] == {"clients": ["app_1"]}


def test_retries_and_failures_are_those_of_the_sdk() -> None:
    exceptions = load("cloudify.exceptions")

    def retry(ctx: Any, **_: Any) -> None:
        assert ctx.operation.retry_number == 0
        return ctx.operation.retry("wait", retry_after=4)  # type: ignore[no-any-return]

    def fail(**_: Any) -> None:
        raise exceptions.HttpException("http://x", 500, "broken", causes=[{"type": "T"}])

    assert call(retry).retry_after == 4.0
    error = call(fail).error
    assert error is not None
    assert (error["recoverable"], error["message"]) == (False, "500 http://x : broken")
    with pytest.raises(TypeError):
        exceptions.RecoverableError(None, retry_after=1)
    assert str(exceptions.RecoverableError("x", retry_after=1)) == "x [retry_after=1]"


def test_resources_raise_http_errors_and_render_leniently(tmp_path: Path) -> None:
    ctx = load("cloudify").ctx
    with made_up_context(resources={"a.txt": "{{ port }}-{{ gone }}-{{ ctx.node.id }}\n"}):
        assert ctx.get_resource("a.txt").startswith(b"{{ port")
        target = tmp_path / "out"
        assert ctx.download_resource_and_render("a.txt", str(target), {"port": 1}) == str(target)
        assert target.read_text() == "1--node"
        with pytest.raises(load("cloudify.exceptions").HttpException, match="404 missing"):
            ctx.download_resource("missing")


def test_the_plugin_is_a_text_and_ctx_takes_attributes() -> None:
    ctx = load("cloudify").ctx
    details = {"package_name": "aws-plugin", "package_version": "3.1", "properties": {"region": {"value": "x"}}}
    with made_up_context(plugin={"name": "aws", "version": "3.1", "details": details}) as context:
        assert ctx.plugin == "aws"
        assert str in type(ctx.plugin).__mro__
        assert ctx.plugin.properties["region"] == {"value": "x"}
        ctx._return_value = 5
        assert ctx._return_value == 5
        context.returns = len  # type: ignore[attr-defined]
        assert ctx.returns is len


def test_what_is_not_provided_is_named() -> None:
    ctx = load("cloudify").ctx
    with made_up_context():
        with pytest.raises(AttributeError, match=r"ctx\.no_such_thing is not provided"):
            _ = ctx.no_such_thing
        with pytest.raises(load("cloudify.exceptions").NonRecoverableError, match="no broker account"):
            ctx.get_brokers("default")
    with pytest.raises(AttributeError, match=r"cloudify\.utils\.no_such is not provided"):
        _ = load("cloudify.utils").no_such


def test_an_agents_init_script_comes_with_the_task() -> None:
    ctx = load("cloudify").ctx
    host = instance_data(
        type_hierarchy=["cloudify.nodes.Root", "cloudify.nodes.Compute"],
        properties={"agent_config": {"install_method": "init_script"}},
    )
    with made_up_context(node=host, context={"extras": {"agent_init_script": "#!/bin/sh"}}):
        assert ctx.agent.init_script() == "#!/bin/sh"
        assert ctx.agent.init_script({"install_method": "none"}) is None


def test_made_up_contexts_of_plugins_tests_work() -> None:
    mocks = load("cloudify.mocks")
    state = load("cloudify.state")
    context = mocks.MockCloudifyContext(
        node_id="a_1",
        node_name="a",
        node_type="t",
        properties={"p": 1},
        runtime_properties={"r": 1},
        deployment_id="d",
        tenant={"name": "me"},
        operation={"retry_number": 2, "name": "x.create"},
    )
    state.current_ctx.set(context)
    ctx = load("cloudify").ctx
    context.node.type_hierarchy = ["root", "t"]
    assert (ctx.node.properties, ctx.instance.runtime_properties, ctx.instance.id) == ({"p": 1}, {"r": 1}, "a_1")
    assert (ctx.node.type_hierarchy, ctx.operation.retry_number, ctx.tenant_name) == (["root", "t"], 2, "me")
    assert ctx.deployment.id == "d"
    state.current_ctx.clear()
    end = mocks.MockRelationshipSubjectContext(context.node, context.instance)
    with state.current_ctx.push(mocks.MockCloudifyContext(source=end, target=end), {"x": 1}):
        assert ctx.type == "relationship-instance"
        assert state.ctx_parameters.x == 1
        assert ctx.target.instance.id == "a_1"
