"""The runners of this agent: started on demand, found again after a restart of the agent, replaced when they die."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from outrider.agent.environments import PluginEnvironment
from outrider.agent.errors import RunnerError
from outrider.agent.runner import processes, protocol
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.settings import Settings

logger = logging.getLogger(__name__)

_SPEC_NAME = "spec.json"
_LOG_NAME = "log"
_START_MARGIN_SECONDS = 30.0
_POLL_SECONDS = 0.01
_LOG_TAIL_BYTES = 2000
#: Between a connection and *hello*: a child that waits answers at once, otherwise one has to be forked first.
_HELLO_SECONDS = 120.0
#: Runners that this process started, to be waited for when they end: they outlive an agent that is stopped in it.
_started: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Spec:
    """What a runner is for; a runner with an equal one can be used."""

    environment: PluginEnvironment
    mode: str
    code: str
    #: What the agent's settings put into the environment of its processes.
    variables: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A short name of it."""
        environment = self.environment
        parts = (environment.python, environment.folder, environment.name, environment.version, self.mode, self.code)
        return _short_name(parts + self.variables)


@functools.lru_cache(maxsize=256)
def _short_name(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Runner:
    """A live runner."""

    folder: Path
    pid: int
    start_ticks: int
    mode: str
    #: Why it runs operations in fresh interpreters although `fork` was asked for.
    objection: Optional[str]

    @property
    def alive(self) -> bool:
        """Whether its process lives."""
        return processes.alive(self.pid, self.start_ticks)

    def connect(self) -> tuple[socket.socket, dict[str, Any]]:
        """Return a connection to a child that waits, and what it said of itself. Raises `OSError`, `RunnerError`."""
        connection = protocol.connect(self.folder, timeout_seconds=_HELLO_SECONDS)
        try:
            hello = protocol.receive_frame(connection)
        except BaseException:
            connection.close()
            raise
        if hello is None:
            connection.close()
            raise RunnerError(f"a child of runner {self.folder.name} ended before it got a task")
        connection.settimeout(None)
        return connection, hello


class Runners:
    """Finds or starts the runner of an environment."""

    def __init__(self, settings: Settings, code: Path) -> None:
        self._settings = settings
        self._code = code
        self._root = settings.state_dir / "runners"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._starting: dict[str, threading.Lock] = {}
        self._live: dict[str, Runner] = {}
        #: Those that get no tasks any more; their folders go with them.
        self._leaving: set[Runner] = set()
        self._scope = _scope_command()

    def spec(self, environment: PluginEnvironment, mode: str) -> Spec:
        """Return what identifies a runner for this environment with the agent's present code."""
        return Spec(environment, mode, str(self._code), self._settings.environment)

    def known(self, spec: Spec) -> Optional[Runner]:
        """Return the runner for `spec`, if there is one; whether it has ended in between, `connect` tells."""
        return self._live.get(spec.key)

    def ensure(self, spec: Spec, modules: tuple[str, ...]) -> Runner:
        """Return a live runner, started if need be. Raises `RunnerError`."""
        with self._lock:
            start_lock = self._starting.setdefault(spec.key, threading.Lock())
        with start_lock:
            runner = self.known(spec)
            if runner is None or not runner.alive:
                runner = self._start(spec, modules)
                self._use(spec, runner)
            return runner

    def ensure_instead(self, spec: Spec) -> Runner:
        """Return a runner with fresh interpreters for a plugin whose import ends its runner. Raises `RunnerError`."""
        runner = self.ensure(replace(spec, mode="spawn"), ())
        self._use(spec, runner)
        return runner

    def _use(self, spec: Spec, runner: Runner) -> None:
        with self._lock:
            before, self._live[spec.key] = self._live.get(spec.key), runner
            if before is not None and before != runner:
                self._leaving.add(before)

    def is_alive(self, runner_id: str) -> bool:
        """Return whether this runner, also one of an earlier agent, lives."""
        runner = self._read_state(self._root / runner_id)
        return runner is not None and runner.alive

    def drop(self, runner: Runner) -> None:
        """Do not use this runner for further operations; what it runs goes on."""
        with self._lock:
            self._live = {key: known for key, known in self._live.items() if known != runner}
            self._leaving.add(runner)

    def adopt(self) -> None:
        """At the agent's start: take over runners that live, send away those of other code, clean up after the dead."""
        for folder in sorted(self._root.iterdir()):
            try:
                key = json.loads((folder / _SPEC_NAME).read_text(encoding="utf-8"))
                runner = self._read_state(folder)
            except (OSError, ValueError, KeyError):
                self._clean_up(folder)
                continue
            if runner is None or not runner.alive:
                self._clean_up(folder)
            elif key["code"] == str(self._code) and key["key"] not in self._live:
                self._live[key["key"]] = runner
                logger.info("runner %s of plugin %s goes on", folder.name, key["plugin"])
            else:
                self._dismiss(runner)
                self._leaving.add(runner)

    def tidy(self) -> None:
        """Collect runners that ended, for want of work or otherwise."""
        for pid, child in list(_started.items()):
            if child.poll() is not None:
                _started.pop(pid, None)
        with self._lock:
            used = set(self._live.values())
        for runner in used:
            if not runner.alive:
                self.drop(runner)
        for runner in list(self._leaving):
            if not runner.alive:
                self._leaving.discard(runner)
                self._clean_up(runner.folder)

    def stop_all(self, *, limit_seconds: float) -> bool:
        """Tell all runners to end once nothing runs in them; returns whether they did within the limit."""
        runners = [runner for folder in self._root.iterdir() if (runner := self._read_state(folder)) is not None]
        for runner in runners:
            self._dismiss(runner)
        deadline = time.monotonic() + limit_seconds
        while any(runner.alive for runner in runners):
            if time.monotonic() > deadline:
                return False
            for child in list(_started.values()):
                child.poll()
            time.sleep(_POLL_SECONDS)
        self.tidy()
        for runner in runners:
            self._clean_up(runner.folder)
        return True

    # Starting

    def _start(self, spec: Spec, modules: tuple[str, ...]) -> Runner:
        runner_id = uuid.uuid4().hex[:12]
        folder = self._root / runner_id
        environment = spec.environment
        described = {"key": spec.key, "code": spec.code, "plugin": f"{environment.name} {environment.version}"}
        began = time.monotonic()
        try:
            folder.mkdir(mode=0o700)
            (folder / _SPEC_NAME).write_text(json.dumps(described), encoding="utf-8")
            self._config(runner_id, spec.mode, modules).write(folder)
            child = self._launch(folder, spec)
        except OSError as error:
            self._clean_up(folder)
            raise RunnerError(f"the runner of {environment.name} cannot be started: {error}") from error
        _started[child.pid] = child
        runner = self._await_state(folder, child, spec)
        logger.info(
            "runner %s of plugin %s %s started in %.2f s, mode %s",
            runner_id,
            environment.name,
            environment.version,
            time.monotonic() - began,
            runner.mode,
        )
        if runner.objection:
            logger.warning(
                "plugin %s %s: operations run in fresh interpreters, which is slower: %s",
                environment.name,
                environment.version,
                runner.objection,
            )
        return runner

    def _config(self, runner_id: str, mode: str, modules: tuple[str, ...]) -> RunnerConfig:
        settings = self._settings
        return RunnerConfig(
            runner_id=runner_id,
            mode=mode,
            modules=modules,
            waiting_children=settings.waiting_children,
            idle_seconds=settings.runner_idle_seconds,
            import_seconds=settings.import_seconds,
            grace_seconds=settings.grace_seconds,
            memory_limit_bytes=settings.memory_limit_bytes,
            output_limit_bytes=settings.output_limit_bytes,
            updates_limit_bytes=settings.updates_limit_bytes,
            resources_folder=str(settings.state_dir / "resources"),
            use_groups=settings.control_groups,
        )

    def _launch(self, folder: Path, spec: Spec) -> subprocess.Popen[bytes]:
        boot = self._code / "outrider" / "agent" / "runner" / "boot.py"
        command = [*self._scope, spec.environment.python, str(boot), "runner", str(folder)]
        with (folder / _LOG_NAME).open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(spec.environment),
                cwd=folder,
                start_new_session=True,
            )

    def _await_state(self, folder: Path, child: subprocess.Popen[bytes], spec: Spec) -> Runner:
        deadline = time.monotonic() + self._settings.import_seconds + _START_MARGIN_SECONDS
        while True:
            runner = self._read_state(folder)
            if runner is not None:
                return runner
            status = child.poll()
            if status is not None or time.monotonic() > deadline:
                what = f"ended with status {status}" if status is not None else "did not get ready in time"
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                text = _log_tail(folder)
                self._clean_up(folder)
                raise RunnerError(f"the runner of plugin {spec.environment.name} {what}; its log ends with: {text}")
            time.sleep(_POLL_SECONDS)

    def _read_state(self, folder: Path) -> Optional[Runner]:
        try:
            state = json.loads((folder / protocol.STATE_NAME).read_bytes())
        except (OSError, ValueError) as error:
            processes.unless_short(error)
            return None
        if state["boot_id"] != processes.boot_id() or state["protocol"] != protocol.VERSION:
            return None
        return Runner(folder, int(state["pid"]), int(state["start_ticks"]), state["mode"], state.get("objection"))

    def _dismiss(self, runner: Runner) -> None:
        processes.kill(processes.Status(runner.pid, "S", 0, 0, runner.start_ticks), signal.SIGTERM)

    def _clean_up(self, folder: Path) -> None:
        """Remove the folder of a runner that is gone, and the control groups that it left empty."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            for parent in json.loads((folder / protocol.STATE_NAME).read_bytes())["group_folders"]:
                for group in Path(parent).glob(f"outrider-{folder.name}-*"):
                    with contextlib.suppress(OSError):
                        group.rmdir()
        shutil.rmtree(folder, ignore_errors=True)


def _environment(environment: PluginEnvironment) -> dict[str, str]:
    """Return what plugins' processes inherit: nothing of the agent's own settings, which hold its broker account."""
    dropped = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "INVOCATION_ID"}
    if not environment.builtin:
        dropped |= {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    found = {
        name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("OUTRIDER_")
    }
    folder = str(Path(environment.python).parent)
    found["PATH"] = f"{folder}:{found.get('PATH', os.defpath)}"
    return found


def _scope_command() -> list[str]:
    """Return what puts a runner outside of the agent's own systemd unit, where there is one."""
    if "INVOCATION_ID" not in os.environ or shutil.which("systemd-run") is None:
        return []
    user = [] if os.geteuid() == 0 else ["--user"]
    return [
        "systemd-run",
        *user,
        "--scope",
        "--quiet",
        "--collect",
        "--slice=outrider",
        "--property=Delegate=yes",
        "--",
    ]


def _log_tail(folder: Path) -> str:
    try:
        return (folder / _LOG_NAME).read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip() or "(nothing)"
    except OSError:
        return "(no log)"
