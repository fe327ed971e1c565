"""A dry run of an operation that does nothing: in the runner, and in each child while it waits anyway.

A forked process shares its parent's memory until it writes to it, and each first write to a page costs a fault. The
hundreds of pages that every operation touches are touched here, before a task comes, so that none of it has to wait.
So the dry run is an operation's whole way, from its frame to its result; only its other ends are nobody.
"""

from __future__ import annotations

import _socket
import json
import os
import socket
from typing import Any

from outrider.agent.runner import signals
from outrider.agent.runner.cgroups import Group
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.operation import Operation, Place
from outrider.agent.runner.protocol import MARKER, RESULT_NAME, STARTED_NAME, frame, receive_frame

_INSTANCE = {
    "node": "rehearsal", "type": "Root", "type_hierarchy": ["Root"], "properties": {}, "instance": "rehearsal_1",
    "runtime_properties": {}, "version": 1, "relationships": [], "scaling_groups": [], "system_properties": {},
}  # fmt: skip
_TASK = {
    "attempt_id": "rehearsal", "task_id": "rehearsal", "execution_id": "rehearsal", "attempt_number": 1,
    "operation": f"{__name__}.nothing", "inputs": {}, "token": "", "files": {}, "secrets": [],
    "plugin": {"name": "rehearsal", "version": "1", "details": {}},
    "context": {
        "operation": "rehearsal", "workflow": "", "deployment": "", "blueprint": "", "node": _INSTANCE,
        "deployment_details": {}, "workflow_parameters": {}, "extras": {},
    },
}  # fmt: skip
#: Its files come to lie in the working folder, the runner's own, for a moment.
_FRAME = frame(
    json.dumps({"attempt_id": "rehearsal", "directory": ".", "envelope": json.dumps({"body": _TASK})}).encode()
)
#: A control group that does not exist, so nobody is in there.
_NOBODY = Group(2, "/nonexistent", 2, None)


def nothing(**_inputs: Any) -> None:
    """Do nothing: the operation of the dry run."""


def rehearse(config: RunnerConfig) -> None:
    """Do the dry run; what it raises is the real operation's to report."""
    ends: list[_socket.socket] = []
    try:
        # Plain ones: those of `socket` ask an enum for their family.
        for _ in range(2):
            ends.extend(_socket.socketpair())
        runner, control, agent, connection = ends
        # The runner's word that what was printed is drained, said ahead.
        runner.sendall(b"1")
        agent.sendall(_FRAME)
        _rehearse(config, _adopted(control), _adopted(connection))
    except Exception:  # noqa: BLE001 - see above
        return
    finally:
        for each in ends:
            each.close()
        os.environ.pop(MARKER, None)
        signals.by_default(signals.TERMINATE, signals.IO)


def _rehearse(config: RunnerConfig, control: socket.socket, connection: socket.socket) -> None:
    # The limit on memory would stay, and nobody is there who might have to be ended.
    place = Place(config._replace(memory_limit_bytes=None), connection, control, _NOBODY, (0, 0), {})
    try:
        request = receive_frame(connection)
        if request is not None:
            Operation(place, connection, request, b"{}").run()
    finally:
        # Before the other ends: else the kernel would tell this process, by a signal, that they are gone.
        control.close()
        connection.close()
        # Left there, the next one would replace them, and a file that replaces another is written to the disk at once.
        for name in (STARTED_NAME, RESULT_NAME):
            try:
                os.unlink(name)  # noqa: PTH108 - as on every operation's way
            except FileNotFoundError:
                # Another child, which rehearses in the same folder, was faster.
                continue


def _adopted(plain: _socket.socket) -> socket.socket:
    return socket.socket(fileno=plain.detach())
