"""A child in a fresh interpreter, for plugins that cannot be forked: same code, started with `exec`."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import NoReturn

from outrider.agent.runner.cgroups import group_from
from outrider.agent.runner.child import serve
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.operation import Place


def become_fresh(place: Place, boot: str) -> NoReturn:
    """Replace this process, already in its own space, by a fresh interpreter that serves the same place."""
    for descriptor in (place.listener.fileno(), place.control.fileno(), *place.pipes):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the library's signature
    argument = json.dumps(
        {
            "config": place.config.to_json(),
            "listener": place.listener.fileno(),
            "control": place.control.fileno(),
            "group": place.group.describe() if place.group else None,
            "pipes": place.pipes,
            "introduction": place.introduction,
        }
    )
    os.execv(sys.executable, [sys.executable, boot, "child", argument])  # noqa: S606 - that is the purpose


def run_child(argument: str) -> NoReturn:
    """Serve the place that `become_fresh` described."""
    data = json.loads(argument)
    listener, control = socket.socket(fileno=data["listener"]), socket.socket(fileno=data["control"])
    listener.set_inheritable(False)
    control.set_inheritable(False)
    out, err = data["pipes"]
    for descriptor in (out, err):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - as above
    group = group_from(data["group"])
    serve(Place(RunnerConfig.from_json(data["config"]), listener, control, group, (out, err), data["introduction"]))
