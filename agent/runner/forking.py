"""Forking the children that wait for operations, several at a time.

After a fork, parent and child copy each page of memory that they write to. So everything is made before the first fork
that can be made there, nothing between two forks, and the rest after the last one. Used by `main`.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Optional

from outrider.agent.runner.capture import Capture
from outrider.agent.runner.cgroups import Group
from outrider.agent.runner.child import enter_own_space, serve
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.operation import Place
from outrider.agent.runner.spawned import become_fresh
from outrider.agent.runner.supervised import Supervised


class Prepared(NamedTuple):
    """What a child will have, before there is one."""

    place: Place
    #: The runner's end of the child's control connection.
    control: socket.socket
    #: The writing ends of its standard output and error.
    output: tuple[int, int]

    def supervise(self, pid: int) -> Supervised:
        """Keep the runner's part of it, for the child that has the other."""
        self.place.control.close()
        for descriptor in self.output:
            os.close(descriptor)
        self.control.setblocking(False)  # noqa: FBT003 - the library's signature
        limit = self.place.config.output_limit_bytes
        out, err = (Capture(descriptor, limit_bytes=limit) for descriptor in self.place.pipes)
        return Supervised(pid, self.control, out, err, self.place.group)

    def discard(self) -> None:
        """Close all of it: there is no child for it."""
        self.control.close()
        self.place.control.close()
        for descriptor in (*self.output, *self.place.pipes):
            os.close(descriptor)
        if self.place.group is not None:
            self.place.group.remove()


def prepare(
    config: RunnerConfig, listener: socket.socket, group: Optional[Group], introduction: dict[str, Any]
) -> Prepared:
    """Make pipes and connection for one child; raises `OSError`. `introduction`: what all say of themselves."""
    pipes: list[int] = []
    try:
        pipes += os.pipe()
        pipes += os.pipe()
        ours, theirs = socket.socketpair()
    except OSError:
        for descriptor in pipes:
            os.close(descriptor)
        raise
    out_read, out_write, err_read, err_write = pipes
    described = {**introduction, "group": group.describe() if group is not None else None}
    place = Place(config, listener, theirs, group, (out_read, err_read), described)
    return Prepared(place, ours, (out_write, err_write))


def fork(prepared: Sequence[Prepared], *, boot: Path) -> list[Supervised]:
    """Fork a child for each, or for as many as the host has room for; discards the rest.

    `boot`: the program that a fresh interpreter starts with.
    """
    runner_pid = os.getpid()
    pids = [0] * len(prepared)
    try:
        # Listed here: a child would have to copy the memory that the list takes.
        there = {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208 - names suffice
        foreign = [_foreign(there, each.place) for each in prepared]
        for index, each in enumerate(prepared):
            pids[index] = os.fork()
            if pids[index] == 0:
                _become_child(each, foreign[index], runner_pid=runner_pid, boot=boot)
    except OSError as error:
        print(f"no child can be made at the moment: {error}", file=sys.stderr)  # noqa: T201 - this is the runner's log
    for each, pid in zip(prepared, pids):
        if pid == 0:
            each.discard()
    return [each.supervise(pid) for each, pid in zip(prepared, pids) if pid]


def _foreign(there: set[int], place: Place) -> list[int]:
    own = {0, 1, 2, place.listener.fileno(), place.control.fileno(), *place.pipes}
    return sorted(there - own)


def _become_child(prepared: Prepared, foreign: list[int], *, runner_pid: int, boot: Path) -> NoReturn:
    try:
        os.dup2(prepared.output[0], 1)
        os.dup2(prepared.output[1], 2)
        enter_own_space(prepared.place.group, foreign, runner_pid=runner_pid)
        if prepared.place.config.mode == "spawn":
            become_fresh(prepared.place, str(boot))
        serve(prepared.place)
    finally:
        # Only an error comes here; this process must never go on as a second runner.
        os._exit(1)
