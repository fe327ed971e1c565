"""The embedded broker, as the program that composes dispatcher and agent in one process sees it."""

from __future__ import annotations

import time
from typing import Callable

from outrider.messaging.embedded.core import BrokerCore
from outrider.messaging.embedded.transport import EmbeddedTransport


class EmbeddedBroker:
    """One per process; give each party (dispatcher, agent, …) a transport of its own."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = BrokerCore(clock=clock)

    def transport(self) -> EmbeddedTransport:
        """Return one party's transport; the party closes it."""
        return EmbeddedTransport(self._core)

    def interrupt(self) -> None:
        """Act like a lost connection of every transport, until `restore`: for tests of the parties' resilience."""
        self._core.set_available(False)

    def restore(self) -> None:
        """End an interruption: transports declare again what they had declared, and consumers go on."""
        self._core.set_available(True)
