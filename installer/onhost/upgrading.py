"""Upgrading without an installer at the other end: the agent that is to be replaced starts this, and it ends the agent.

Nobody may be there to see that the new version does not work, so it has to earn its place: unless somebody who saw it
work says *keep* within a bound, the old version is brought back. `outrider.agent.upgrade` starts this, passes that word
on, and tells who asks what the note says.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Optional

from .environment import build_environment, installed_versions, remove_unused, verify_archive
from .errors import HostError
from .files import write_atomic
from .layout import Layout

#: Below the agent's state; `outrider.agent.upgrade` knows these names.
FOLDER = "upgrade"
NOTE, DECISION = "note.json", "decision.json"
INSTALLING, SWITCHED, DONE, ROLLED_BACK, FAILED, STUCK = (
    "installing", "switched", "done", "rolled back", "failed", "stuck",
)  # fmt: skip
_POLL_SECONDS = 0.2

#: Makes a version the active one and has the agent run; returns when it does.
Activate = Callable[[str], None]


class Note:
    """What is known of the upgrade, for whoever asks the agent, the old one or the new one."""

    def __init__(self, layout: Layout, upgrade_id: str) -> None:
        self._path = layout.state / FOLDER / NOTE
        self._said: dict[str, Any] = {"id": upgrade_id, "pid": os.getpid(), "error": ""}

    def write(self, phase: str, **known: str) -> None:
        """Say how far it is."""
        self._said.update(phase=phase, **known)
        write_atomic(self._path, json.dumps(self._said), mode=0o600)


def upgrade(layout: Layout, request: dict[str, Any], *, activate: Activate) -> dict[str, Any]:
    """Install the bundle's version beside the active one, switch to it, and keep it if it is said to work."""
    note = Note(layout, request["id"])
    if "before" in request:
        # The host was restarted after the switch: all that is left is to wait for the word, and perhaps to go back.
        before, name = request["before"], request["name"]
        note.write(SWITCHED, before=before, version=name)
        problem = _word(layout, request)
    else:
        note.write(INSTALLING)
        try:
            before, name = _install(layout, request)
        except HostError as error:
            note.write(FAILED, error=error.message)
            raise
        if before == name:
            note.write(DONE, before=before, version=name)
            return {"phase": DONE, "before": before, "version": name}
        note.write(SWITCHED, before=before, version=name)
        problem = _switch(layout, request, name, activate)
    if problem is None:
        note.write(DONE)
        remove_unused(layout, {name, before})
        return {"phase": DONE, "before": before, "version": name}
    try:
        activate(before)
    except HostError as error:
        text = f"{name} did not pass ({problem}), and {before} does not start either: {error.message}"
        note.write(STUCK, error=text)
        raise
    note.write(ROLLED_BACK, error=problem)
    return {"phase": ROLLED_BACK, "before": before, "version": name, "error": problem}


def _install(layout: Layout, request: dict[str, Any]) -> tuple[str, str]:
    """Return the name of the active version, and of the new one, which is there now."""
    archive, sha256, version = Path(request["archive"]), request["sha256"], request["version"]
    versions = installed_versions(layout)
    # Another build of the same version gets a folder of its own.
    name = version if versions.get(version, sha256) == sha256 else f"{version}+{sha256[:8]}"
    if name not in versions:
        verify_archive(archive, sha256)
    build_environment(layout, archive=archive, sha256=sha256, name=name)
    with contextlib.suppress(OSError):
        archive.unlink()
    return layout.current.readlink().name if layout.current.is_symlink() else "", name


def _switch(layout: Layout, request: dict[str, Any], name: str, activate: Activate) -> Optional[str]:
    """Switch and wait for the word; return why the version is not kept, None if it is."""
    try:
        activate(name)
    except HostError as error:
        return error.message
    return _word(layout, request)


def _word(layout: Layout, request: dict[str, Any]) -> Optional[str]:
    """Wait for somebody's word about the new version; return why it is not kept, None if it is."""
    path = layout.state / FOLDER / DECISION
    deadline = time.monotonic() + request["gate_seconds"]
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            decision = json.loads(path.read_text(encoding="utf-8"))
            if decision["id"] == request["id"]:
                return None if decision["keep"] else str(decision["reason"])
        time.sleep(_POLL_SECONDS)
    return f"nobody said within {request['gate_seconds']:g} s that it works"
