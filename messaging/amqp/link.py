"""One connection to the broker, with the one thread that may touch it; it comes back by itself until it is stopped.

Every method that says so runs in the link's thread; everything else gets there by `call`. A publish from another
thread wakes the thread at once, and one wake-up serves everything that was called meanwhile.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from typing import Callable, Optional

import pika
from pika.adapters.select_connection import IOLoop
from pika.exceptions import AMQPError

from outrider.messaging.amqp.failures import describe, refused
from outrider.messaging.amqp.settings import AmqpSettings
from outrider.messaging.errors import ConnectFailed, TransportClosed

logger = logging.getLogger(__name__)

# pika reports each failed attempt on several lines as errors; the link says it once, in our words, without secrets.
logging.getLogger("pika").setLevel(logging.CRITICAL)

#: Reconnection waits no longer than 2 ** this many times the first delay (then the configured last one rules).
_LAST_DOUBLING = 16


class Link:
    """A connection that is up, or on its way to be. `on_up` and `on_down` run in its thread."""

    def __init__(
        self,
        settings: AmqpSettings,
        purpose: str,
        *,
        on_up: Callable[[pika.SelectConnection], None],
        on_down: Callable[[], None],
    ) -> None:
        self.purpose = purpose
        self._settings = settings
        self._on_up = on_up
        self._on_down = on_down
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False
        self._ended = False
        self._up = False
        self._refused = False
        self._failures: dict[str, str] = {}
        self._loop = IOLoop()
        self._thread = threading.Thread(target=self._run, name=f"outrider-amqp-{purpose}", daemon=True)
        # Of the link's thread alone:
        self._connection: Optional[pika.SelectConnection] = None
        self._closing = False
        self._position = 0
        self._rounds = 0

    def __repr__(self) -> str:
        return f"<Link {self.purpose}: {'up' if self._up else 'down'}>"

    @property
    def up(self) -> bool:
        """Whether the connection is open."""
        return self._up

    @property
    def in_own_thread(self) -> bool:
        """Whether the caller is the link's thread, which must never wait for itself."""
        return threading.current_thread() is self._thread

    @property
    def connection(self) -> Optional[pika.SelectConnection]:
        """The open connection; None while there is none, or it is closing. In the link's thread only."""
        connection = self._connection
        return connection if self._up and connection is not None and connection.is_open else None

    def start(self) -> None:
        """Start the thread, which begins to connect."""
        self.call(self._connect)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> bool:
        """Run `function` in the link's thread soon; False if the link has ended."""
        with self._lock:
            if self._ended:
                return False
            self._calls.append(function)
            if not self._woken:
                self._woken = True
                self._loop.add_callback_threadsafe(self._run_calls)
            return True

    def call_later(self, delay_seconds: float, function: Callable[[], None]) -> None:
        """Run `function` after a time. In the link's thread only."""
        self._loop.call_later(delay_seconds, lambda: self._guard(function))

    def wait_up(self, timeout_seconds: float, *, fail_if_refused: bool = False) -> None:
        """Wait for the connection; raises `ConnectFailed` that names each address and its reason.

        `fail_if_refused`: do not wait on once an address has refused the account.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._up or self._ended or (fail_if_refused and self._refused), timeout_seconds
            )
            if self._up:
                return
            if self._ended:
                raise TransportClosed(f"the transport {self._settings.name} is closed")
            reasons = "; ".join(f"{address}: {reason}" for address, reason in self._failures.items())
        raise ConnectFailed(f"no broker could be reached: {reasons or f'no answer in {timeout_seconds:g} s'}")

    def stop(self, *, timeout_seconds: float) -> None:
        """Close the connection in an orderly way, or by force at the limit, and end the thread."""
        self.call(lambda: self._close(timeout_seconds))
        if not self.in_own_thread:
            self._thread.join(timeout_seconds + 1.0)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._loop.start()
            except Exception:
                # A defect in pika, or in what we do with it, costs this connection, never the thread: a link that
                # silently stopped would be found by nobody. (pika also raises where it was told to stop connecting.)
                if not self._closing:
                    logger.exception("the AMQP connection failed unexpectedly", extra={"action": "link_failed"})
                self._abandon()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._loop.close()
        while self._calls:  # what was called too late finds the connection gone
            self._guard(self._calls.popleft())

    def _run_calls(self) -> None:
        with self._lock:
            self._woken = False
            calls = list(self._calls)
            self._calls.clear()
        for function in calls:
            self._guard(function)

    def _guard(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception:
            # One call's defect must not swallow the others of its batch.
            logger.exception("a call on the AMQP connection failed", extra={"action": "link_call_failed"})

    def _connect(self) -> None:
        if self._closing:
            return
        address = self._settings.addresses[self._position]
        try:
            self._connection = pika.SelectConnection(
                self._settings.parameters(address, purpose=self.purpose),
                on_open_callback=self._opened,
                on_open_error_callback=lambda _, error: self._failed(error),
                on_close_callback=lambda _, reason: self._lost(reason),
                custom_ioloop=self._loop,
            )
        except (OSError, AMQPError, ValueError) as error:
            self._failed(error)

    def _opened(self, connection: pika.SelectConnection) -> None:
        address = self._settings.addresses[self._position]
        if self._closing:
            connection.close()
            return
        logger.info("%s is connected to %s", self.purpose, address, extra={"action": "connected"})
        self._rounds = 0
        with self._changed:
            self._up, self._refused = True, False
            self._failures.clear()
            self._changed.notify_all()
        self._on_up(connection)

    def _failed(self, error: BaseException) -> None:
        """An attempt at the current address failed: try the next one, and rest after each round over all."""
        self._connection = None
        if self._closing:
            self._loop.stop()
            return
        address = self._settings.addresses[self._position]
        reason = describe(error)
        with self._changed:
            self._failures[str(address)] = reason
            self._refused = refused(error)
            self._changed.notify_all()
        self._position = (self._position + 1) % len(self._settings.addresses)
        delay = 0.0 if self._position else self._next_delay()
        logger.warning(
            "%s cannot connect to %s: %s; next attempt in %.1f s",
            self.purpose,
            address,
            reason,
            delay,
            extra={"action": "connect_failed"},
        )
        self.call_later(delay, self._connect)

    def _lost(self, reason: BaseException) -> None:
        """The open connection ended."""
        self._connection = None
        with self._changed:
            self._up = False
            self._changed.notify_all()
        self._on_down()
        if self._closing:
            self._loop.stop()
            return
        address = self._settings.addresses[self._position]
        logger.warning(
            "%s lost its connection to %s: %s",
            self.purpose,
            address,
            describe(reason),
            extra={"action": "disconnected"},
        )
        self.call_later(self._next_delay(), self._connect)

    def _next_delay(self) -> float:
        longest = self._settings.reconnect_first_seconds * float(2 ** min(self._rounds, _LAST_DOUBLING))
        self._rounds += 1
        # Jitter: a thousand agents must not come back in the same instant.
        return min(longest, self._settings.reconnect_last_seconds) * random.uniform(0.5, 1.0)  # noqa: S311

    def _close(self, timeout_seconds: float) -> None:
        self._closing = True
        connection = self._connection
        if connection is None:
            self._loop.stop()
            return
        self.call_later(timeout_seconds, self._abandon)
        if not (connection.is_closing or connection.is_closed):
            connection.close()

    def _abandon(self) -> None:
        """Drop the connection without a word, as nobody listens."""
        connection = self._connection
        if connection is None:
            self._loop.stop() if self._closing else self.call_later(self._next_delay(), self._connect)
            return
        reason = ConnectFailed("given up")
        connection._terminate_stream(reason)  # noqa: SLF001 - pika has no public way to drop a connection at once
