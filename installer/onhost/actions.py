"""What the installer may ask of a host, by name. Each takes the request and returns the answer."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from . import marks, services
from .bootstrap import bootstrap
from .configuration import configure, is_same
from .environment import build_environment, remove_unused, switch, verify_archive
from .errors import HostError
from .files import make_folder
from .layout import Layout
from .leaving import leave
from .probing import probe
from .removal import uninstall
from .upgrading import upgrade

Request = dict[str, Any]
#: How long a version may take from its start to being ready.
ACTIVATE_SECONDS = 90.0
#: Less than the installer waits for any action's answer.
LOCK_SECONDS, LOCK_POLL_SECONDS = 45.0, 0.1


@contextlib.contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Let one installer at a time change this host; the lock ends with the process.

    It is waited for: what a cut connection left at work ends by itself, and the installation that is run again after
    the cut must not fail for that.
    """
    make_folder(layout.lock.parent)
    deadline = time.monotonic() + LOCK_SECONDS
    with layout.lock.open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    text = f"another installation is at work on this host, and was not done within {LOCK_SECONDS:g} s"
                    raise HostError("busy", text, "wait until it has ended, then run this again") from error
            time.sleep(LOCK_POLL_SECONDS)
        yield


def _probe(layout: Layout, request: Request) -> Request:
    return probe(layout, request)


def _verify(layout: Layout, request: Request) -> Request:  # noqa: ARG001 - all actions have one signature
    verify_archive(Path(request["archive"]), request["sha256"])
    return {"sha256": request["sha256"]}


def _environment(layout: Layout, request: Request) -> Request:
    archive = Path(request["archive"])
    with _locked(layout):
        built = build_environment(layout, archive=archive, sha256=request["sha256"], name=request["name"])
    return {"built": built, "folder": str(layout.versions / request["name"])}


def _configure(layout: Layout, request: Request) -> Request:
    with _locked(layout):
        return {"changed": configure(layout, request), "path": str(layout.config)}


def _compare(layout: Layout, request: Request) -> Request:
    return {"same": is_same(layout, request)}


def _service(layout: Layout, request: Request) -> Request:
    """Activate a version and (re)start the agent if anything changed or it does not run."""
    with _locked(layout):
        return _activate(layout, request)


def _activate(layout: Layout, request: Request) -> Request:
    stale = marks.is_stale(layout) or request.get("restart", False)
    marks.expect_start(layout)
    if request.get("fallback"):
        marks.expect_proof(layout, request["name"], fallback=request["fallback"])
    before = switch(layout, request["name"])
    # An upgrade leaves the choice that the installation made.
    kind = services.installed(layout) if request.get("keep_kind") else request.get("kind")
    answer = services.ensure(layout, kind)
    start = stale or answer["changed"] or before != request["name"] or services.state(layout) != "active"
    if start:
        services.restart(layout)
    marks.started(layout)
    answer |= {"before": before, "started": start}
    services.wait_until_active(layout, request.get("timeout_seconds", 60.0))
    if marks.unproven(layout) is None:
        marks.proven(layout)  # what it told of is no longer the active one
    return answer


def _restart(layout: Layout, request: Request) -> Request:
    """Start the agent anew; its operations go on."""
    with _locked(layout):
        if services.state(layout) == "none":
            raise HostError("service", "there is no agent on this host", "install one")
        services.restart(layout)
        services.wait_until_active(layout, request.get("timeout_seconds", ACTIVATE_SECONDS))
    return {}


def _upgrade(layout: Layout, request: Request) -> Request:
    """Upgrade with nobody at the other end: what the agent starts when it is told to over its control queue."""

    def activate(name: str) -> None:
        _activate(layout, {"name": name, "restart": True, "keep_kind": True, "timeout_seconds": ACTIVATE_SECONDS})

    with _locked(layout):
        return upgrade(layout, request, activate=activate)


def _collect(layout: Layout, request: Request) -> Request:
    """Remove versions that nothing needs any more; `proven` says that the active one works."""
    with _locked(layout):
        if request.get("proven"):
            marks.proven(layout)
        way_back = marks.unproven(layout) or {}
        return {"removed": remove_unused(layout, {*request["keep"], *way_back.values()})}


def _status(layout: Layout, request: Request) -> Request:
    return {"state": services.state(layout), "log": services.log_tail(layout, request.get("lines", services.LOG_LINES))}


def _bootstrap(layout: Layout, request: Request) -> Request:
    with _locked(layout):
        return bootstrap(layout, request)


def _leave(layout: Layout, request: Request) -> Request:
    with _locked(layout):
        return leave(layout, request)


def _uninstall(layout: Layout, request: Request) -> Request:
    with _locked(layout):
        return uninstall(layout, grace_seconds=request.get("grace_seconds", 10.0))


ACTIONS: dict[str, Callable[[Layout, Request], Request]] = {
    "probe": _probe,
    "verify": _verify,
    "environment": _environment,
    "configure": _configure,
    "compare": _compare,
    "service": _service,
    "restart": _restart,
    "upgrade": _upgrade,
    "collect": _collect,
    "status": _status,
    "uninstall": _uninstall,
    "bootstrap": _bootstrap,
    "leave": _leave,
}
