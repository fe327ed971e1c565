"""One operation's process: waits for a task on the runner's socket, has it run, ends.

Forked ahead by `main` (or started fresh by `spawned`). Nothing of an operation runs before a whole task frame arrived.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterable
from signal import SIGKILL
from typing import NoReturn, Optional

from outrider.agent.runner import processes, signals
from outrider.agent.runner.cgroups import Group
from outrider.agent.runner.operation import Operation, Place
from outrider.agent.runner.protocol import has_caller, receive_frame, send_body
from outrider.agent.runner.rehearsal import rehearse

#: How long a connected agent may take between *hello* and *go*: its journal's commit, on a slow disk.
_GO_SECONDS = 60.0
#: Exit statuses, for whoever reads the runner's log.
EXIT_NOTHING_TO_RUN, EXIT_BROKEN = 0, 70


def serve(place: Place) -> NoReturn:
    """Wait for one task, run it, end the process."""
    status = EXIT_BROKEN
    try:
        status = _serve(place)
    except BaseException:  # noqa: BLE001 - the process ends either way; what it printed says why
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _serve(place: Place) -> int:
    who = {"pid": os.getpid(), "start_ticks": processes.start_ticks(os.getpid())}
    identity = json.dumps({**place.introduction, **who}).encode()
    if not has_caller(place.listener):
        rehearse(place.config)
    # Not `accept`: the object that it makes asks an enum for the socket's family.
    descriptor, _ = place.listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    connection = socket.socket(fileno=descriptor)
    # From here on this process belongs to an attempt, and outlives the runner.
    # A handler, not SIG_IGN, which would be inherited by what the operation starts.
    signals.handle(signals.RETIRE, lambda _number, _frame: None)
    processes.die_with_parent(0)
    send_body(connection, identity)
    place.listener.close()
    connection.settimeout(_GO_SECONDS)
    try:
        request = receive_frame(connection)
    except socket.timeout:
        request = None
    if request is None:
        return EXIT_NOTHING_TO_RUN
    connection.settimeout(None)
    return Operation(place, connection, request, identity).run()


def enter_own_space(group: Optional[Group], foreign: Iterable[int], *, runner_pid: int) -> None:
    """Become a process of its own right after the fork: session, group, descriptors, signals, logging.

    `foreign`: descriptors that are the runner's alone.
    """
    processes.die_with_parent(SIGKILL)
    if os.getppid() != runner_pid:
        # The runner died before that took effect; nobody would ever end this process.
        os._exit(EXIT_BROKEN)
    os.setsid()
    if group is not None:
        group.enter()
    processes.become_subreaper()
    signals.reset()
    for descriptor in foreign:
        # Unlike `close` it says nothing about the one that was open only while they were listed.
        os.closerange(descriptor, descriptor + 1)
    if "logging" in sys.modules:
        sys.modules["logging"].getLogger().handlers.clear()
