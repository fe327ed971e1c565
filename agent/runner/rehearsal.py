"""A dry run of an operation that does nothing, in a child that waits anyway.

A forked process shares its parent's memory until it writes to it, and each first write to a page costs a fault. The
hundreds of pages that every operation touches are touched here, before a task comes, so that none of it has to wait.
"""

from __future__ import annotations

import json
import select
import socket
from typing import Any

from outrider.agent.runner.channel import FileChannel
from outrider.plugins.sdk.execute import execute

_INSTANCE = {
    "node": "rehearsal", "type": "Root", "type_hierarchy": ["Root"], "properties": {}, "instance": "rehearsal_1",
    "runtime_properties": {}, "version": 1, "relationships": [], "scaling_groups": [], "system_properties": {},
}  # fmt: skip
_TASK = json.dumps(
    {
        "attempt_id": "rehearsal", "task_id": "rehearsal", "execution_id": "rehearsal", "attempt_number": 1,
        "operation": f"{__name__}.nothing", "inputs": {}, "token": "", "files": {}, "secrets": [],
        "plugin": {"name": "rehearsal", "version": "1", "details": {}},
        "context": {
            "operation": "rehearsal", "workflow": "", "deployment": "", "blueprint": "", "node": _INSTANCE,
            "deployment_details": {}, "workflow_parameters": {}, "extras": {},
        },
    }
)  # fmt: skip


def nothing(**_inputs: Any) -> None:
    """Do nothing: the operation of the dry run."""


def rehearse(listener: socket.socket) -> None:
    """Run the dry run, unless a task waits already; whatever it raises is the real operation's to report."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    if waiting.poll(0):
        return
    try:
        task = json.loads(_TASK)
        # No record is written, so the folder need not exist.
        channel = FileChannel("/nonexistent", task, limit_bytes=0, resources_folder="/nonexistent")
        json.dumps(execute(task, channel))
    except Exception:  # noqa: BLE001 - see above
        return
