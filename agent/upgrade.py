"""Being upgraded over the control queue: fetches the new bundle by its hash and starts the program that replaces us.

The program comes with the bundle, and is the one that the installer runs on hosts (`outrider.installer.onhost`). It
lives on in a session of its own, restarts the agent, and brings the old version back unless it hears *keep* within a
bound. The new agent passes that word on: that it can be told at all shows that it reaches the broker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

from outrider.agent.errors import UpgradeRefused
from outrider.agent.runner.fetch import FetchError, fetch
from outrider.messaging.messages import ControlRequest
from outrider.messaging.version import __version__

logger = logging.getLogger(__name__)

#: As in `outrider.installer.onhost.upgrading`.
_FOLDER, _NOTE, _DECISION = "upgrade", "note.json", "decision.json"
_UNDER_WAY = ("installing", "switched")
#: The program's only argument.
_ACTION = "upgrade"
#: What the program was started for, so that it can be started again.
_REQUEST = "request.json"
_LOG = "log"


class Upgrades:
    """Answers the control request `upgrade`, whose payload names a step: ``begin``, ``status`` or ``decide``."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / _FOLDER
        # Now, because the link that this process was started through leads to the new version later.
        self._version = _version_folder()
        self._program: Optional[subprocess.Popen[bytes]] = None

    def go_on(self) -> None:
        """Have the word waited for again if the host was restarted before it was given; called at the agent's start."""
        note, begun = self._note(), _read(self._folder / _REQUEST)
        if note.get("phase") != "switched" or begun.get("id") != note.get("id") or self.under_way:
            return
        logger.warning("the upgrade to %s was interrupted: it is rolled back unless it is confirmed", note["version"])
        try:
            self._start(Path(begun.pop("program")), {**begun, "before": note["before"], "name": note["version"]})
        except UpgradeRefused as error:
            logger.error("nothing will roll %s back: %s", note["version"], error)  # noqa: TRY400 - the text says it all

    @property
    def under_way(self) -> bool:
        """Whether an upgrade is being made: by a program of this agent, or of the one before it."""
        if self._program is not None and self._program.poll() is None:
            return True
        note = self._note()
        return note.get("phase") in _UNDER_WAY and _upgrades(note.get("pid"))

    def answer(self, request: ControlRequest) -> dict[str, Any]:
        """Do the step that is asked for. Raises `UpgradeRefused`."""
        payload = dict(request.payload)
        step = payload.get("step")
        if step == "begin":
            return self._begin(payload)
        if step == "status":
            return self._status()
        if step == "decide":
            return self._decide(payload)
        raise UpgradeRefused(f"there is no step {step!r} of an upgrade")

    def _begin(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self._version is None:
            raise UpgradeRefused(
                f"it runs from {sys.prefix}, where no installer put it: upgrade it as it was installed"
            )
        if self.under_way:
            note = self._note()
            raise UpgradeRefused(f"the upgrade {note.get('id')} is under way ({note.get('phase', 'just begun')})")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            archive = fetch(payload["files"], payload["sha256"], self._folder / f"{payload['sha256']}.tar")
            program = fetch(payload["files"], payload["program"], self._folder / f"{payload['program']}.pyz")
        except FetchError as error:
            raise UpgradeRefused(f"the bundle cannot be fetched: {error}") from error
        passed_on = ("id", "sha256", "version", "gate_seconds")
        begun = {**{name: payload[name] for name in passed_on}, "archive": str(archive)}
        self._write(_REQUEST, {**begun, "program": str(program)})
        self._start(program, begun)
        return {"before": self._version.name, "version": __version__}

    def _start(self, program: Path, request: dict[str, Any]) -> None:
        """Start the program that replaces this agent, where the agent's end does not reach it."""
        with (self._folder / _LOG).open("ab") as log:
            try:
                process = self._program = subprocess.Popen(
                    [_base_python(), "-I", str(program), _ACTION],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise UpgradeRefused(f"the upgrade cannot be started: {error}") from error
        assert process.stdin is not None  # noqa: S101 - asked for above
        with process.stdin as stream:
            stream.write(json.dumps(request).encode() + b"\n")

    def _status(self) -> dict[str, Any]:
        return {**self._note(), "running": None if self._version is None else self._version.name}

    def _decide(self, payload: dict[str, Any]) -> dict[str, Any]:
        note = self._note()
        if note.get("id") != payload.get("id"):
            raise UpgradeRefused(f"the upgrade {payload.get('id')} is not known here")
        decision = {"id": note["id"], "keep": bool(payload.get("keep")), "reason": str(payload.get("reason", ""))}
        self._write(_DECISION, decision)
        return {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        aside = self._folder / f"{name}.{os.getpid()}.part"
        aside.write_text(json.dumps(content), encoding="utf-8")
        aside.replace(self._folder / name)

    def _note(self) -> dict[str, Any]:
        return _read(self._folder / _NOTE)


def _read(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one if it is not there, or is none."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _version_folder() -> Optional[Path]:
    """Return the folder of the installed version that this process runs from; None if no installer put it there."""
    folder = Path(sys.prefix).resolve()
    return folder if folder.parent.name == "versions" and (folder.parent.parent / "current").is_symlink() else None


def _base_python() -> str:
    """Return the host's own interpreter: that of a version's environment goes away with the version."""
    # On Linux, all kinds of environments lead to it by a link.
    return os.path.realpath(sys.executable)


def _upgrades(pid: object) -> bool:
    """Return whether this process is a program that replaces an agent, not a later one of the same pid."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{_ACTION}\0".encode())
    return False
