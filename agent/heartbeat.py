"""Heartbeats: what the agent has in hand, said every few seconds; their confirmation is what its lease hangs on."""

from __future__ import annotations

import logging
import os
import platform
import threading
import uuid
from concurrent.futures import Future
from typing import Callable

from outrider.agent.attempts import Attempts, Phase
from outrider.agent.clock import boot_clock, machine_id
from outrider.agent.journal import Journal
from outrider.agent.lease import Lease
from outrider.agent.runner.processes import boot_id
from outrider.agent.settings import Settings
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import AgentHeartbeat
from outrider.messaging.transport import Confirmation, Outgoing, Transport, confirmation_of
from outrider.messaging.version import __version__

logger = logging.getLogger(__name__)

#: So many attempts' doings are told; more would make the heartbeat too large to be useful.
_MOST_DOINGS = 200


class Heart:
    """Sends heartbeats from a thread of its own."""

    def __init__(
        self,
        *,
        settings: Settings,
        transport: Transport,
        journal: Journal,
        attempts: Attempts,
        lease: Lease,
        state: Callable[[], str],
    ) -> None:
        self._agent_id = settings.agent_id
        self._interval = settings.heartbeat_seconds
        self._slots = settings.slots
        self._transport = transport
        self._journal = journal
        self._attempts = attempts
        self._lease = lease
        self._state = state
        self._process_id = uuid.uuid4().hex
        self._machine_id, self._boot_id = machine_id(), boot_id()
        self._platform = platform.platform(terse=True)
        self._host = {"name": platform.node(), "cpus": os.cpu_count()}
        self._tags = _tags()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat, at once."""
        self._thread.start()

    def beat_now(self) -> None:
        """Send one without waiting for the interval: something changed."""
        self._wake.set()

    def close(self) -> None:
        """Send a last one and stop."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def describe(self) -> AgentHeartbeat:
        """Return what a heartbeat says now."""
        attempts = self._attempts.all()
        return AgentHeartbeat(
            agent_id=self._agent_id,
            machine_id=self._machine_id,
            boot_id=self._boot_id,
            process_id=self._process_id,
            version=__version__,
            python=platform.python_version(),
            platform=self._platform,
            clock_seconds=boot_clock(),
            interval_seconds=self._interval,
            journal_epoch=self._journal.epoch,
            journal_sequence=self._journal.sequence,
            accepted=tuple(a.attempt_id for a in attempts if a.phase is Phase.ACCEPTED),
            running=tuple(a.attempt_id for a in attempts if a.phase is Phase.RUNNING),
            reporting=tuple(a.attempt_id for a in attempts if a.phase is Phase.REPORTING),
            slots=self._slots,
            state=self._state(),
            doing={a.attempt_id: a.doing for a in attempts[:_MOST_DOINGS]},
            load=_load(),
            tags=self._tags,
            host=self._host,
            journal_opened=self._journal.opened,
        )

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                self._beat()
            except Exception:
                # An agent that is not heard of any more is given up, and its operations with it.
                logger.exception("a heartbeat could not be sent")
            if self._closed:
                return
            self._wake.wait(self._interval)

    def _beat(self) -> None:
        sent_at = boot_clock()
        try:
            body = encode(self.describe())
            future = self._transport.publish(
                Outgoing(
                    topology.HEARTBEATS,
                    f"{self._agent_id}.heartbeat",
                    body,
                    persistent=False,
                    expires_seconds=2 * self._interval,
                )
            )
        except MessagingError as error:
            logger.debug("no heartbeat: %s", error)
            return
        future.add_done_callback(lambda finished: self._sent(sent_at, finished))

    def _sent(self, sent_at: float, future: Future[Confirmation]) -> None:
        if confirmation_of(future) is not Confirmation.CONFIRMED:
            return
        self._lease.confirm(sent_at)


def _load() -> dict[str, float]:
    try:
        return {"1m": os.getloadavg()[0]}
    except OSError:
        # It is read from a file, and no descriptor is left: no reason to be silent.
        return {}


def _tags() -> tuple[str, ...]:
    version = "".join(platform.python_version_tuple()[:2])
    return (f"cp{version}", f"{platform.system().lower()}_{platform.machine()}", "-".join(platform.libc_ver()))
