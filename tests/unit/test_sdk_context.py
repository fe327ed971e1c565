"""`ctx` as plugin code sees it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, Union

import pytest

from outrider.plugins.sdk import NonRecoverableError, NotInContext, RenderError, ResourceNotFound, ctx
from outrider.plugins.sdk.logs import ChannelHandler
from outrider.plugins.sdk.rendering import _render_paths
from outrider.plugins.sdk.testing import call, instance_data, made_up_context

RELATED = {
    "type": "cloudify.relationships.contained_in",
    "type_hierarchy": ["cloudify.relationships.contained_in"],
    "target_node": "host",
    "target_instance": "host_1",
    "target_runtime_properties": {"ip": "10.0.0.1"},
}


def test_outside_an_operation_ctx_says_so_and_bears_probing() -> None:
    with pytest.raises(RuntimeError, match="outside an operation"):
        _ = ctx.node
    with pytest.raises(NotInContext):
        _ = ctx.node
    assert not hasattr(ctx, "node")
    assert "outside" in repr(ctx)


def test_node_properties_can_be_read_and_not_assigned() -> None:
    with made_up_context(properties={"size": 1, "tags": {"a": 1}}):
        assert ctx.node.properties["size"] == 1
        with pytest.raises(NonRecoverableError, match="cannot be modified"):
            ctx.node.properties["size"] = 2
        with pytest.raises(NonRecoverableError):
            ctx.node.properties.update(size=2)
        del ctx.node.properties["tags"]["a"]  # nested values are the operation's own copy
        assert ctx.node.properties == {"size": 1, "tags": {}}


def test_the_other_kind_of_operation_is_named_when_a_member_is_missing() -> None:
    with made_up_context():
        assert ctx.type == "node-instance"
        with pytest.raises(NonRecoverableError, match=r"use ctx\.node and ctx\.instance"):
            _ = ctx.source
    with made_up_context(source=instance_data(node="a"), target=instance_data(node="b")):
        assert ctx.type == "relationship-instance"
        with pytest.raises(NonRecoverableError, match=r"ctx\.source\.instance or"):
            _ = ctx.instance


def test_a_relationships_target_is_read_only() -> None:
    with made_up_context(node=instance_data(relationships=[RELATED])):
        target = ctx.instance.relationships[0].target
        assert target.instance.runtime_properties["ip"] == "10.0.0.1"
        with pytest.raises(NonRecoverableError):
            target.instance.runtime_properties["ip"] = "x"


def test_update_is_durable_at_once_and_saves_only_what_changed() -> None:
    def create(**_: Any) -> None:
        ctx.instance.runtime_properties["id"] = "vol-1"
        ctx.instance.update()
        ctx.instance.runtime_properties["nested"]["list"].append(1)
        del ctx.instance.runtime_properties["old"]

    run = call(create, runtime_properties={"nested": {"list": []}, "old": 1, "same": True})
    assert [(save.set, save.delete) for save in run.saves] == [
        ({"id": "vol-1"}, []),
        ({"nested": {"list": [1]}}, ["old"]),
    ]


def test_true_and_one_are_different_values() -> None:
    def change(**_: Any) -> None:
        ctx.instance.runtime_properties["flag"] = True

    assert call(change, runtime_properties={"flag": 1}).saves[0].set == {"flag": True}


def test_nothing_is_saved_when_nothing_changed() -> None:
    assert call(lambda **_: ctx.instance.runtime_properties.get("a"), runtime_properties={"a": 1}).saves == []


def test_an_assignment_replaces_all_properties() -> None:
    def replace(**_: Any) -> None:
        ctx.instance.runtime_properties = {"b": 2}

    run = call(replace, runtime_properties={"a": 1})
    assert (run.saves[0].replace, run.saves[0].set, run.runtime_properties) == (True, {"b": 2}, {"b": 2})


def test_refresh_refuses_to_drop_changes_unless_forced() -> None:
    with made_up_context(runtime_properties={"a": 1}):
        properties = ctx.instance.runtime_properties
        properties["a"] = 2
        with pytest.raises(NonRecoverableError, match="unsaved"):
            ctx.instance.refresh()
        ctx.instance.refresh(force=True)
        assert properties == {"a": 1}


def test_refresh_takes_over_what_the_dispatcher_answers() -> None:
    def read(**_: Any) -> Any:
        ctx.instance.refresh()
        return ctx.instance.runtime_properties["a"]

    answers = {"instance": lambda _payload: {"runtime_properties": {"a": 9}, "version": 4}}
    assert call(read, runtime_properties={"a": 1}, answers=answers).value == 9


def test_host_ip_comes_from_the_task_or_is_explained() -> None:
    with made_up_context(node=instance_data(host_instance="host_1", host_ip="10.0.0.1")):
        assert ctx.instance.host_ip == "10.0.0.1"
    with made_up_context(), pytest.raises(NonRecoverableError, match="not contained in a host"):
        _ = ctx.instance.host_ip


def test_log_records_carry_level_name_and_traceback() -> None:
    def work(**_: Any) -> None:
        ctx.logger.warning("odd: %s", 1)
        try:
            int("inner")
        except ValueError:
            ctx.logger.exception("broken")

    logs = call(work).logs
    assert (logs[0].level, logs[0].message, logs[0].logger) == ("warning", "odd: 1", "ctx.task-1")
    assert "ValueError: invalid literal" in logs[1].message
    assert not [h for h in logging.getLogger("ctx.task-1").handlers if isinstance(h, ChannelHandler)]


def test_a_new_operations_logger_leaves_alone_what_others_have_decided() -> None:
    other = logging.getLogger("some_plugin.module")
    other.isEnabledFor(logging.INFO)
    with made_up_context(task_id="first-of-its-name") as context:
        assert context.logger.isEnabledFor(logging.DEBUG)
    assert logging.INFO in other._cache  # type: ignore[attr-defined]


def test_a_logger_that_an_operation_silenced_speaks_in_the_next_operation() -> None:
    def silence(**_: Any) -> None:
        ctx.logger.setLevel(logging.ERROR)
        ctx.logger.info("not heard")

    def speak(**_: Any) -> None:
        ctx.logger.info("heard")

    assert call(silence).logs == []
    assert [line.message for line in call(speak).logs] == ["heard"]


def test_the_plugin_is_a_text_with_details() -> None:
    plugin = {"name": "aws", "version": "3", "details": {"package_name": "aws-plugin", "properties": {"region": 1}}}
    with made_up_context(plugin=plugin):
        assert ctx.plugin == "aws"
        assert isinstance(ctx.plugin, str)
        assert (ctx.plugin.package_name, ctx.plugin.package_version) == ("aws-plugin", "3")


def test_plugins_may_hang_attributes_on_ctx() -> None:
    with made_up_context() as context:
        ctx.returns = len  # type: ignore[attr-defined]
        assert context.returns is len  # type: ignore[attr-defined]


def test_resources_are_read_copied_and_rendered() -> None:
    resources: dict[str, Union[str, bytes]] = {
        "conf/app.ini": "port={{ port }}\nnode={{ ctx.node.id }}\n",
        "conf/b/raw": b"\x00{",
    }
    with made_up_context(resources=resources):
        assert ctx.get_resource("conf/b/raw") == b"\x00{"
        copy = Path(ctx.download_resource_and_render("conf/app.ini", template_variables={"port": 80}))
        assert (copy.name, copy.read_text()) == ("app.ini", "port=80\nnode=node\n")
        folder = Path(ctx.download_directory("conf"))
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
            "app.ini",
            "b/raw",
        ]
        with pytest.raises(ResourceNotFound, match="'missing'"):
            ctx.get_resource("missing")
        with pytest.raises(NonRecoverableError, match="not a folder"):
            ctx.download_resource("conf/app.ini", "/no/such/folder/app.ini")


def test_rendering_without_jinja2_follows_paths_and_refuses_the_rest() -> None:
    variables = {"a": {"b": [1, {"c": "x"}]}, "list": [5]}
    text = "{# note #}{{ a.b[1].c }}-{{ a['b'][0] }}-{{list.0}}\n"
    assert _render_paths(text, variables, name="t", strict=True) == "x-1-5\n"
    assert _render_paths("<{{ gone }}>\n", variables, name="t", strict=False) == "<>"
    with pytest.raises(RenderError, match=r"not given: gone \(t, line 2\)"):
        _render_paths("\n{{ gone }}", variables, name="t", strict=True)
    with pytest.raises(RenderError, match="needs jinja2 for line 1"):
        _render_paths("{% if a %}", variables, name="t", strict=True)
    with pytest.raises(RenderError, match="add jinja2 to the plugin's requirements"):
        _render_paths("{{ a | upper }}", variables, name="t", strict=True)


def test_importing_the_sdk_imports_nothing_slow() -> None:
    code = "import sys, outrider.plugins.sdk; print(*sys.modules)"
    path = next(p for p in __import__("outrider").__path__)
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(path).parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert not {"typing", "logging", "inspect", "traceback", "json", "re", "threading"} & set(loaded)
