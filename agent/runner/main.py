"""The runner: imports a plugin once, keeps children forked ahead, supervises those that run an operation.

One per plugin environment, single-threaded (a process that forks must be), and independent of the agent: timeouts, the
draining of output and the verdict on an operation that died go on while no agent lives. It never sees a task.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn, Optional, Union

from outrider.agent.runner import cgroups, processes, signals
from outrider.agent.runner.capture import Capture
from outrider.agent.runner.config import RunnerConfig
from outrider.agent.runner.forking import Prepared, fork, prepare
from outrider.agent.runner.protocol import SOCKET_NAME, STATE_NAME, VERSION, has_caller, listen, write_aside
from outrider.agent.runner.rehearsal import rehearse
from outrider.agent.runner.supervised import Supervised
from outrider.agent.runner.warm import Warm

_BACKLOG = 512
_GROUP_RETRY_SECONDS = 1.0
_RETIRE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_FORK_AGAIN_SECONDS = 5.0
#: After so many calls the interpreter has fitted its instructions to the code, once for all children.
_REHEARSALS = 32
#: So many waiting children may die in a row, without a task, before the runner says that it cannot work.
_MOST_EARLY_DEATHS = 20


def run(folder: Path, root: Path) -> NoReturn:
    """Be the runner that lives in `folder`, with the code below `root`; ends the process."""
    config = RunnerConfig.read(folder)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What an operation prints is seen, and captured, line by line.
        sys.stdout.reconfigure(line_buffering=True)
    warm = Warm(limit_seconds=config.import_seconds)
    if config.mode == "fork":
        for module in config.modules:
            warm.load(module)
    objection = warm.objection()
    if config.mode == "fork" and objection:
        _start_again_as_spawn(folder, config, root, objection)
    try:
        objection = Runner(folder, config, root, warm).run()
        if objection:
            _start_again_as_spawn(folder, config, root, objection)
    except Exception:  # noqa: BLE001 - the process ends either way; its log has to say why
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _start_again_as_spawn(folder: Path, config: RunnerConfig, root: Path, objection: str) -> NoReturn:
    """Start over in this process, with fresh interpreters for operations: threads do not survive `exec`."""
    print(f"this plugin's operations run in fresh interpreters: {objection}", file=sys.stderr, flush=True)  # noqa: T201 - this is the runner's log
    config._replace(mode="spawn", objection=objection).write(folder)
    os.execv(sys.executable, [sys.executable, str(_boot(root)), "runner", str(folder)])  # noqa: S606 - the same program


def _boot(root: Path) -> Path:
    return root / "outrider" / "agent" / "runner" / "boot.py"


class Runner:
    """The event loop."""

    def __init__(self, folder: Path, config: RunnerConfig, root: Path, warm: Warm) -> None:
        self._folder = folder
        self._config = config
        self._root = root
        self._warm = warm
        # Not `selectors`: after each fork, this process too copies every page that it touches.
        self._epoll = select.epoll()
        #: Descriptor → whose it is; None: the signals'.
        self._sources: dict[int, Union[Supervised, Capture, None]] = {}
        self._children: dict[int, Supervised] = {}
        #: Output of processes that outlived their operation.
        self._lingering: list[Capture] = []
        self._old_groups: list[cgroups.Group] = []
        self._wanted_modules: list[str] = []
        #: Waiting children are sent away, and no new ones are made; set for good.
        self._closing = False
        self._objection: Optional[str] = None
        self._told_to_stop = False
        self._early_deaths = 0
        self._last_active = time.monotonic()
        #: Not before, since the host had no room for another child; 0: it has.
        self._fork_again_at = 0.0
        with contextlib.suppress(FileNotFoundError):
            (folder / SOCKET_NAME).unlink()
        self._listener = listen(folder, backlog=_BACKLOG)
        self._groups = cgroups.detect(cgroups.prefix_of(config.runner_id)) if config.use_groups else None
        #: What all children say of themselves.
        self._introduction = {
            "protocol": VERSION,
            "boot_id": processes.boot_id(),
            "runner_id": config.runner_id,
            "mode": config.mode,
        }
        processes.become_subreaper()

    def run(self) -> Optional[str]:
        """Serve until idle for long enough, or told to stop, and nothing is left to supervise.

        Returns why operations must not be forked here any more, if that is the reason.
        """
        # The dry run handles signals as an operation does: those that are for this process wait.
        with signals.held(signals.TERMINATE, signals.INTERRUPT):
            # A fresh interpreter has nothing of it.
            for _ in range(_REHEARSALS if self._config.mode == "fork" else 0):
                rehearse(self._config)
            self._watch_signals()
        self._warm.settle()
        self._top_up()
        self._write_state()
        while self._children or self._lingering or not self._closing:
            for descriptor, _ in self._epoll.poll(self._pause()):
                # What was handled just before it may have closed it.
                if descriptor in self._sources:
                    self._handle(descriptor, self._sources[descriptor])
            self._reap()
            self._top_up()
            self._supervise()
        for group in self._old_groups:
            group.remove()
        return self._objection

    def _watch_signals(self) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)  # noqa: FBT003 - the library's signature
        writer.setblocking(False)  # noqa: FBT003 - as above
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = (reader, writer)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._watch(reader.fileno(), None)

    def _watch(self, descriptor: int, source: Union[Supervised, Capture, None]) -> None:
        self._epoll.register(descriptor, select.EPOLLIN)
        self._sources[descriptor] = source

    def _forget(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        del self._sources[descriptor]

    def _stop(self, _number: int, _frame: object) -> None:
        # Only a note: the handler may run in the middle of anything. The wakeup socket ends the select.
        self._told_to_stop = True

    def _write_state(self) -> None:
        state = {
            "protocol": VERSION,
            "pid": os.getpid(),
            "start_ticks": processes.start_ticks(os.getpid()),
            "boot_id": processes.boot_id(),
            "mode": self._config.mode,
            "objection": self._config.objection,
            "failures": self._warm.failures,
            "group_folders": self._groups.folders if self._groups is not None else [],
            "limits_memory": self._groups is not None and self._groups.limits_memory,
        }
        write_aside(self._folder / STATE_NAME, json.dumps(state).encode(), durable=False)

    def _pause(self) -> float:
        """Return for how long nothing has to be done by the clock."""
        now = time.monotonic()
        due = [child.due for child in self._children.values() if child.due is not None]
        if self._old_groups:
            due.append(now + _GROUP_RETRY_SECONDS)
        if self._closing:
            due.append(now + _RETIRE_SECONDS)
        elif self._fork_again_at:
            due.append(self._fork_again_at)
        elif not self._busy():
            due.append(self._last_active + self._config.idle_seconds + 0.01)
        if not due:
            return _LONGEST_PAUSE_SECONDS
        return max(0.0, min(due) - now)

    # Children

    def _top_up(self) -> None:
        """Fork until enough children wait.

        Several at once: see `forking`. A child is a while on its way, above all into its control group: while tasks
        wait for one, twice as many are made.
        """
        if self._closing or (self._fork_again_at and time.monotonic() < self._fork_again_at):
            return
        waiting = sum(1 for child in self._children.values() if not child.attempt_id)
        wanted = self._config.waiting_children
        if waiting <= wanted // 2 and has_caller(self._listener):
            self._fork(2 * wanted - waiting)
        elif waiting < wanted and waiting <= max(1, wanted // 4):
            self._fork(wanted - waiting)

    def _fork(self, count: int) -> None:
        made = fork(self._prepare(count), boot=_boot(self._root))
        for child in made:
            self._children[child.pid] = child
            for descriptor in (child.control.fileno(), *(capture.descriptor for capture in child.captures)):
                self._watch(descriptor, child)
        # What runs is supervised meanwhile, and whoever calls waits.
        self._fork_again_at = 0.0 if len(made) == count else time.monotonic() + _FORK_AGAIN_SECONDS

    def _prepare(self, count: int) -> list[Prepared]:
        """Return what so many children will have, or as many as there are descriptors for."""
        prepared: list[Prepared] = []
        for _ in range(count):
            group = self._make_group()
            try:
                prepared.append(prepare(self._config, self._listener, group, self._introduction))
            except OSError as error:
                print(f"no child can be made at the moment: {error}", file=sys.stderr)  # noqa: T201 - this is the runner's log
                if group is not None:
                    group.remove()
                break
        return prepared

    def _make_group(self) -> Optional[cgroups.Group]:
        if self._groups is None:
            return None
        try:
            return self._groups.create(memory_limit_bytes=self._config.memory_limit_bytes)
        except OSError as error:
            print(f"operations run without control groups from now on: {error}", file=sys.stderr)  # noqa: T201 - this is the runner's log
            self._groups = None
            return None

    def _busy(self) -> bool:
        return bool(self._lingering) or any(child.attempt_id for child in self._children.values())

    def _close(self) -> None:
        """Take no more tasks; what runs goes on, and is supervised to its end."""
        self._closing = True
        self._listener.close()
        with contextlib.suppress(OSError):
            (self._folder / SOCKET_NAME).unlink()

    def _retire_waiting(self) -> None:
        """Send children away that have no task. One that just got its task ignores this signal."""
        for child in self._children.values():
            if not child.attempt_id:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signals.RETIRE)

    # Events

    def _handle(self, descriptor: int, source: Union[Supervised, Capture, None]) -> None:
        if isinstance(source, Supervised):
            printed = descriptor != source.control.fileno()
            # A child announces its attempt before it prints; without that, output has no place to go to.
            self._read_control(source)
            if printed:
                self._drain(source)
        elif isinstance(source, Capture):
            if not source.drain():
                self._forget(descriptor)
                self._lingering.remove(source)
                source.close()
        else:
            with contextlib.suppress(BlockingIOError):
                self._wakeup[0].recv(4096)

    def _read_control(self, child: Supervised) -> None:
        messages = child.read_control()
        if messages is None:
            self._hang_up(child)
            return
        for message in messages:
            if "attempt_id" in message:
                child.begin(message)
                self._last_active = time.monotonic()
                self._early_deaths = 0
                module = str(message.get("module"))
                if self._config.mode == "fork" and not self._warm.knows(module):
                    self._wanted_modules.append(module)
            elif "told" in message:
                child.told = True
            elif "flush" in message:
                self._drain(child)
                with contextlib.suppress(OSError):
                    child.control.send(b"1")

    def _hang_up(self, child: Supervised) -> None:
        if child.control.fileno() >= 0:
            self._forget(child.control.fileno())
            child.control.close()

    def _drain(self, child: Supervised) -> None:
        for capture in list(child.captures):
            if not capture.drain():
                self._forget(capture.descriptor)
                child.captures.remove(capture)
                capture.close()

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                self._end(child, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def _end(self, child: Supervised, status: int, cpu_seconds: float, peak_memory_bytes: int) -> None:
        self._read_control(child)
        self._drain(child)
        if child.attempt_id:
            child.judge(status, cpu_seconds, peak_memory_bytes, config=self._config, known=self._children)
            self._last_active = time.monotonic()
        else:
            self._early_deaths += status != 0 and os.WIFEXITED(status)
            if self._early_deaths > _MOST_EARLY_DEATHS:
                raise RuntimeError(f"{_MOST_EARLY_DEATHS} children ended in a row before they got a task")
        self._hang_up(child)
        for capture in child.captures:
            # Somebody who outlived the operation still holds the other end: read on, or the next print would kill it.
            self._sources[capture.descriptor] = capture
            self._lingering.append(capture)
        if child.group is not None and not child.group.remove():
            self._old_groups.append(child.group)

    def _supervise(self) -> None:
        now = time.monotonic()
        for child in list(self._children.values()):
            if child.due is not None and now >= child.due:
                try:
                    child.enforce(grace_seconds=self._config.grace_seconds)
                except OSError as error:
                    print(f"attempt {child.attempt_id} is not ended yet: {error}", file=sys.stderr)  # noqa: T201 - this is the runner's log
        self._old_groups = [group for group in self._old_groups if not group.remove()]
        if self._closing:
            self._retire_waiting()
        elif self._told_to_stop or (not self._busy() and now - self._last_active > self._config.idle_seconds):
            self._close()
            self._retire_waiting()
        elif self._wanted_modules and not self._busy():
            self._learn()

    def _learn(self) -> None:
        """Import modules that operations asked for meanwhile, and replace the children that wait without them."""
        wanted, self._wanted_modules = set(self._wanted_modules), []
        for module in sorted(wanted):
            self._warm.load(module)
        self._objection = self._warm.objection()
        if self._objection:
            self._close()
        self._warm.settle()
        self._retire_waiting()
