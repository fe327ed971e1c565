"""The SDK reads a task as dispatcher and agents write it: the JSON form of `OperationTask`."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from outrider.messaging.codec import to_json
from outrider.messaging.messages import (
    FilesRef,
    InstanceContext,
    OperationContext,
    OperationTask,
    PluginRef,
    RelatedInstance,
)
from outrider.plugins.sdk import ctx
from outrider.plugins.sdk.execute import execute
from outrider.plugins.sdk.testing import MemoryChannel

INSTANCE = InstanceContext(
    node="web",
    type="my.Web",
    type_hierarchy=("root", "my.Web"),
    properties={"port": 80},
    instance="web_ab12",
    runtime_properties={"state": "old"},
    version=7,
    host_instance="host_1",
    host_ip="10.0.0.9",
    relationships=(RelatedInstance("contained_in", ("depends_on", "contained_in"), "host", "host_1"),),
)


def look_around(size: int) -> list[object]:
    """Stand for an operation."""
    ctx.instance.runtime_properties["state"] = "new"
    relationship = ctx.instance.relationships[0]
    return [
        size,
        ctx.node.type_hierarchy,
        ctx.instance.host_ip,
        relationship.target.instance.id,
        ctx.operation.max_retries,
        ctx.operation.retry_number,
        ctx.plugin.version,
        ctx.deployment.display_name,
        ctx.workflow.name,
    ]


def make_task(node: InstanceContext) -> dict[str, Any]:
    """Return the JSON form of a task, as it comes from the wire."""
    task = OperationTask(
        attempt_id="a",
        task_id="t",
        execution_id="e",
        attempt_number=1,
        operation="web_plugin.look_around",
        plugin=PluginRef(name="web", version="1.2"),
        context=OperationContext(
            operation="lifecycle.create", workflow="install", deployment="d", blueprint="b", node=node
        ),
        inputs={"size": 3},
        token="secret",
        files=FilesRef(url="file:///nowhere"),
    )
    return dict(json.loads(json.dumps(to_json(task))))


def test_a_task_of_the_messages_becomes_a_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("web_plugin")
    module.look_around = look_around  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "web_plugin", module)
    channel = MemoryChannel(work_dir=str(tmp_path))
    outcome = execute(make_task(INSTANCE), channel)
    assert outcome["value"] == [3, ["root", "my.Web"], "10.0.0.9", "host_1", 60, 0, "1.2", "d", "install"]
    assert (channel.saves[0].instance, channel.saves[0].base_version) == ("web_ab12", 7)
