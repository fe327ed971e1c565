"""An operation's way out: log records, events and property changes go to a file that the agent reads.

Implements `outrider.plugins.sdk.channel.Channel`. The file is the durable spool: it outlives the operation and the
agent, and each record has the number by which the dispatcher records it once.
"""

from __future__ import annotations

import _thread
import json
import os
from pathlib import Path
from typing import Any

from outrider.agent.runner.protocol import UPDATES_NAME
from outrider.plugins.sdk.errors import NonRecoverableError, RecoverableError, RequestNotSupported, ResourceNotFound

#: Longer texts are cut: a log record must fit into a message, and a person's screen.
_LONGEST_TEXT = 256 * 1024


class FileChannel:
    """Writes numbered records to the attempt's folder; fetches blueprint resources by hash."""

    def __init__(self, directory: str, task: dict[str, Any], *, limit_bytes: int, resources_folder: str) -> None:
        self._directory = directory
        self._task = task
        self._limit = limit_bytes
        self._cache = resources_folder
        self._lock = _thread.allocate_lock()
        self._file = -1
        self._written = 0
        self._dropped = 0
        self._sequence = 0
        self._manifests: dict[str, dict[str, str]] = {}
        #: All property changes so far, as the result carries them.
        self.properties: list[dict[str, Any]] = []

    @property
    def last_sequence(self) -> int:
        """The number of the last record that was written; 0 = none was."""
        return self._sequence

    @property
    def work_dir(self) -> str:
        """A scratch folder of this attempt, made when it is first asked for."""
        folder = f"{self._directory}/work"
        Path(folder).mkdir(exist_ok=True)
        return folder

    def log(self, *, level: str, logger: str, message: str, time: float) -> None:
        """Write one log record."""
        self._append_text("log", {"time": time, "level": level, "logger": logger, "message": _cut(message)})

    def event(self, *, event_type: str, message: str) -> None:
        """Write one event."""
        from time import time

        self._append_text("event", {"time": time(), "event_type": event_type, "message": _cut(message)})

    def save_properties(
        self,
        *,
        instance: str,
        set: dict[str, Any],  # noqa: A002 - the field's name in the message
        delete: list[str],
        base_version: int,
        replace: bool,
    ) -> None:
        """Write one property change; it is on disk when this returns."""
        change = {
            "instance": instance,
            "set": set,
            "delete": list(delete),
            "base_version": base_version,
            "replace": replace,
        }
        with self._lock:
            self.properties.append({**change, "sequence": self._write("property", change)})
            os.fsync(self._file)

    def resource(self, path: str) -> str:
        """Return a local copy of a blueprint resource; raises `ResourceNotFound`, or a recoverable error."""
        sha256 = self._find(path)
        if sha256 is None:
            raise ResourceNotFound(path)
        return str(self._fetch(sha256))

    def resources(self, prefix: str) -> list[str]:
        """Return the paths of all resources below `prefix`."""
        manifest = self._manifest(self._task.get("resources"))
        return sorted(path for path in manifest if path.startswith(prefix))

    def request(self, kind: str, payload: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Ask the dispatcher.

        What an operation may know travels with its task. So only workflow functions ask (``workflow``), and operations
        that call the manager: for the way there (``manager``).
        """
        if kind not in ("workflow", "manager"):
            raise RequestNotSupported(f"nobody answers questions of the kind {kind!r}")
        from outrider.agent.runner.asking import FOLDER, ask  # operations do without it

        own = {"attempt_id": self._task["attempt_id"], "token": self._task["token"]}
        question = {**own, "kind": kind, "payload": payload}
        # An attempt's folder is ``<state folder>/run/<attempt>``.
        return ask(Path(self._directory).parent.parent / FOLDER, question, timeout_seconds=timeout_seconds)

    def close(self) -> None:
        """Say how many records were dropped, if any were, and close the file."""
        with self._lock:
            if self._dropped:
                self._tell_of_dropped()
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _tell_of_dropped(self) -> None:
        text = f"{self._dropped} further log records were dropped: the limit is {self._limit} bytes per attempt"
        try:
            self._write("log", {"time": 0.0, "level": "warning", "logger": "outrider", "message": text})
        except OSError:
            # A full disk is no reason to lose the result, which comes next.
            return

    def _append_text(self, kind: str, fields: dict[str, Any]) -> None:
        with self._lock:
            if self._written > self._limit:
                self._dropped += 1
                return
            self._write(kind, fields)

    def _write(self, kind: str, fields: dict[str, Any]) -> int:
        line = json.dumps({"sequence": self._sequence + 1, "kind": kind, **fields}).encode() + b"\n"
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(f"{self._directory}/{UPDATES_NAME}", flags, 0o600)
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            # A full disk: with half a record in front of it, the next one could not be read.
            os.ftruncate(self._file, self._written)
            raise
        self._written += len(line)
        self._sequence += 1
        return self._sequence

    def _find(self, path: str) -> str | None:
        clean = path.lstrip("/")
        found = self._manifest(self._task.get("resources")).get(clean)
        if found is not None:
            return found
        for prefix, manifest in (self._task.get("namespaces") or {}).items():
            if clean.startswith(f"{prefix}--"):
                return self._manifest(manifest).get(clean[len(prefix) + 2 :])
        return None

    def _manifest(self, sha256: str | None) -> dict[str, str]:
        if not sha256:
            return {}
        if sha256 not in self._manifests:
            content = json.loads(self._fetch(sha256).read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise NonRecoverableError(f"the manifest {sha256} of the blueprint's resources is not a JSON object")
            self._manifests[sha256] = content
        return self._manifests[sha256]

    def _fetch(self, sha256: str) -> Path:
        from outrider.agent.runner.fetch import FetchError, fetch  # few operations have resources

        try:
            return fetch(self._task.get("files") or {}, sha256, Path(self._cache) / sha256[:2] / sha256)
        except FetchError as error:
            raise RecoverableError(str(error)) from error


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]} … ({len(text) - _LONGEST_TEXT} more characters were cut)"
