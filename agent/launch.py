"""From an accepted attempt to a process that runs it.

The warm way needs no fork, no import and one commit of the journal; everything slower (an install, a runner's start,
secrets, a silent broker) first has the task journaled and acknowledged, since RabbitMQ does not wait for it.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional

from outrider.agent import journal as journaling
from outrider.agent.attempts import Attempt, Phase
from outrider.agent.clock import boot_clock
from outrider.agent.environments import Environments, PluginEnvironment
from outrider.agent.errors import JournalError, PreparationFailed, Refused, RunnerError, SecretsUnavailable
from outrider.agent.journal import Entry, Journal
from outrider.agent.lease import Lease
from outrider.agent.prewarm import modules_of
from outrider.agent.requests import DispatcherRequests
from outrider.agent.runner import protocol
from outrider.agent.runner.tree import Tree
from outrider.agent.runners import Runner, Runners
from outrider.agent.secrets import LITERAL_MARK, fill_in
from outrider.agent.updates import UpdateShipper
from outrider.messaging.codec import to_json

logger = logging.getLogger(__name__)

_TRIES = 5


class AlreadyKnown(Exception):
    """The journal forbids the start: the attempt was started, ended or cancelled before."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(f"attempt {entry.attempt_id} is {entry.state.value}")
        self.entry = entry


class Launched(NamedTuple):
    """A process that has its task."""

    connection: Optional[socket.socket]
    #: What it said of itself, with ``started_clock``; as journaled.
    identity: dict[str, Any]
    #: By the monotonic clock.
    since: float


class Launcher:
    """Starts attempts."""

    def __init__(
        self,
        *,
        journal: Journal,
        environments: Environments,
        runners: Runners,
        requests: DispatcherRequests,
        updates: UpdateShipper,
        lease: Lease,
        grace_seconds: float,
    ) -> None:
        self._journal = journal
        self._environments = environments
        self._runners = runners
        self._requests = requests
        self._updates = updates
        self._lease = lease
        self.grace_seconds = grace_seconds

    def launch(self, attempt: Attempt) -> Launched:
        """Start the attempt. Raises `PreparationFailed`, `AlreadyKnown`."""
        began = time.monotonic()
        self._check(attempt)
        environment = self._environment(attempt)
        attempt.durations["install"] = time.monotonic() - began
        began = time.monotonic()
        request = self._request(attempt)
        self._await_lease(attempt)
        attempt.folder.create()
        launched = self._start(attempt, environment, request)
        attempt.durations["start"] = launched.since - began
        return launched

    def runner_alive(self, runner_id: str) -> bool:
        """Return whether this runner lives, and will therefore write a result for an operation that died."""
        return self._runners.is_alive(runner_id)

    def accept(self, attempt: Attempt) -> None:
        """Have the attempt journaled, as one that is being prepared, and acknowledged. Raises `AlreadyKnown`."""
        known = self._journal.call(journaling.accept(attempt.attempt_id, attempt.body, preparing=True))
        if known is not None and (known.state is not journaling.State.ACCEPTED or known.cancelled):
            raise AlreadyKnown(known)
        attempt.settle()

    def _check(self, attempt: Attempt) -> None:
        task = attempt.task
        if task.journal_epoch is not None and task.journal_epoch != self._journal.epoch:
            raise Refused(
                "WrongEpoch",
                f"the task was sent to journal epoch {task.journal_epoch}, this agent's is {self._journal.epoch}: "
                "what ran here before is not known to it",
            )
        if attempt.silences != self._lease.silences:
            raise Refused(
                "LeaseLost", "the agent was out of contact for longer than half a lease before it could start"
            )
        waited = time.monotonic() - attempt.received
        if waited > task.start_window_seconds:
            raise Refused(
                "StartWindowOver", f"it waited {waited:.0f} s; its start window is {task.start_window_seconds:g} s"
            )

    def _environment(self, attempt: Attempt) -> PluginEnvironment:
        task = attempt.task
        environment = self._environments.ready(task.plugin)
        if environment is None:
            self.accept(attempt)

            def say(text: str) -> None:
                attempt.doing = text

            environment = self._environments.prepare(task, say)
        return environment

    def _request(self, attempt: Attempt) -> bytes:
        """Return the frame that tells the child what to do; the only place where secret values are."""
        head: dict[str, Any] = {"attempt_id": attempt.attempt_id, "directory": str(attempt.folder.path)}
        if not attempt.task.secrets and LITERAL_MARK not in attempt.body:
            head["envelope"] = attempt.body.decode()
            return json.dumps(head, separators=(",", ":")).encode()
        try:
            secrets = self._secrets(attempt)
            task = to_json(attempt.task)
            head["task"] = {
                **task,
                "inputs": fill_in(task["inputs"], secrets),
                "context": fill_in(task["context"], secrets),
                "plugin": fill_in(task["plugin"], secrets),
            }
        except SecretsUnavailable as error:
            raise PreparationFailed("SecretsUnavailable", str(error), recoverable=True) from error
        return json.dumps(head).encode()

    def _secrets(self, attempt: Attempt) -> dict[str, Any]:
        if not attempt.task.secrets:
            return {}
        self.accept(attempt)
        attempt.doing = "waiting for secrets"
        return self._requests.redeem_secrets(attempt.task)

    def _await_lease(self, attempt: Attempt) -> None:
        if not self._lease.valid:
            self.accept(attempt)
            attempt.doing = "waiting for the broker to confirm a heartbeat"
            left = attempt.task.start_window_seconds - (time.monotonic() - attempt.received)
            self._lease.wait(max(0.0, left))
        self._check(attempt)
        if not self._lease.valid:
            raise Refused("LeaseLost", "the broker did not confirm a heartbeat within the start window")

    def _start(self, attempt: Attempt, environment: PluginEnvironment, request: bytes) -> Launched:
        failure = "no runner could be reached"
        for _ in range(_TRIES):
            runner = self._runner(attempt, environment)
            try:
                connection, hello = runner.connect()
            except (OSError, RunnerError, protocol.ProtocolError) as error:
                # It just ended for want of work, or was killed: the next one is started.
                failure = f"{error}"
                if not runner.alive or isinstance(error, OSError):
                    self._runners.drop(runner)
                continue
            launched = self._go(attempt, connection, hello, request)
            if launched is not None:
                return launched
            failure = "the process for it ended before it called the plugin"
        raise PreparationFailed(
            "RunnerError", f"plugin {environment.name} {environment.version}: {failure}", recoverable=True
        )

    def _runner(self, attempt: Attempt, environment: PluginEnvironment) -> Runner:
        spec = self._runners.spec(environment, attempt.task.plugin.mode.value)
        runner = self._runners.known(spec)
        if runner is not None:
            return runner
        self._environments.used(environment)
        self.accept(attempt)
        attempt.doing = f"starting the runner of plugin {environment.name} {environment.version}"
        module = attempt.task.operation.rpartition(".")[0]
        try:
            return self._runners.ensure(spec, modules_of(attempt.task.plugin, module))
        except RunnerError as error:
            self._environments.forget(attempt.task.plugin)
            if spec.mode == "fork":
                # Its import may have ended the runner; in a process of its own it ends only itself.
                logger.warning("%s; trying with fresh interpreters", error)
                try:
                    return self._runners.ensure_instead(spec)
                except RunnerError as second:
                    error = second
            raise PreparationFailed("RunnerError", str(error), recoverable=True) from error

    def _go(
        self, attempt: Attempt, connection: socket.socket, hello: dict[str, Any], request: bytes
    ) -> Optional[Launched]:
        """Journal the start, then give the task to the child; None if the child ended without calling the plugin."""
        identity = {**hello, "started_clock": boot_clock()}
        tree = attempt.tree = Tree.of(attempt.attempt_id, identity)
        start = journaling.start(attempt.attempt_id, attempt.body, identity, over=attempt.over)
        try:
            forbidden = self._journal.call(start)
        except JournalError:
            attempt.tree = None
            # As below.
            connection.close()
            raise
        if forbidden is not None:
            attempt.tree = None
            # The child gets no task, and ends.
            connection.close()
            if forbidden.attempt_id == attempt.attempt_id:
                raise AlreadyKnown(forbidden)
            raise Refused("Superseded", f"another attempt of its task, {forbidden.attempt_id}, came here before it")
        attempt.phase = Phase.RUNNING
        attempt.doing = "running"
        try:
            protocol.send_body(connection, request)
        except OSError:
            connection.close()
            self._never_went(attempt, tree)
            return None
        since = time.monotonic()
        attempt.settle()
        self._updates.watch(attempt.task, attempt.folder)
        return Launched(connection, identity, since)

    def _never_went(self, attempt: Attempt, tree: Tree) -> None:
        """The child was gone before it had the whole task: it ran nothing, so another may be asked."""
        # The journal has it, whatever becomes of the next step.
        attempt.settle()
        tree.end(grace_seconds=0)
        attempt.tree = None
        attempt.phase = Phase.ACCEPTED
        if not self._journal.call(journaling.not_started(attempt.attempt_id)):
            entry = self._journal.entry(attempt.attempt_id)
            if entry is not None:
                raise AlreadyKnown(entry)


def attempt_folder(state_dir: Path, attempt_id: str) -> Path:
    """Return where an attempt's folder is."""
    return state_dir / "run" / attempt_id
