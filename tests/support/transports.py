"""Both transports behind one face, so that one suite of tests runs on each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

import pytest

from outrider.messaging.amqp import AmqpSettings, AmqpTransport
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.transport import Delivery, Transport
from tests.support.rabbitmq import VirtualHost
from tests.support.waiting import wait_until


class Bench(Protocol):
    """A broker of one test, and transports to it, which are closed after the test."""

    def transport(self) -> Transport:
        """Return a further party's transport, connected."""

    def interrupt(self) -> None:
        """Make every transport lose its connection; it may come back at once."""

    def restore(self) -> None:
        """Let every transport come back, and wait for it."""

    def close(self) -> None: ...


class EmbeddedBench:
    """Transports on one embedded broker."""

    def __init__(self) -> None:
        self._broker = EmbeddedBroker()
        self._transports: list[Transport] = []

    def transport(self) -> Transport:
        transport = self._broker.transport()
        self._transports.append(transport)
        return transport

    def interrupt(self) -> None:
        self._broker.interrupt()

    def restore(self) -> None:
        self._broker.restore()

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


class AmqpBench:
    """Transports to a virtual host of one test's own."""

    def __init__(self, vhost: VirtualHost) -> None:
        self._vhost = vhost
        self._transports: list[AmqpTransport] = []

    def transport(self, **settings: object) -> AmqpTransport:
        transport = AmqpTransport(
            AmqpSettings(
                urls=(self._vhost.url,),
                management_url=self._vhost.node.management_url,
                reconnect_first_seconds=0.05,
                **settings,
            )
        )
        self._transports.append(transport)
        transport.wait_connected(30.0)
        wait_until(lambda: transport.connected, 10, "the transport to be connected")
        return transport

    def interrupt(self) -> None:
        """Close every connection of the virtual host from the broker's side."""
        expected = 2 * len(self._transports)
        names = wait_until(lambda: self._names(expected), 20, f"{expected} connections in the broker's list")
        for name in names:
            self._vhost.management.close_connection(name)

    def restore(self) -> None:
        for transport in self._transports:
            wait_until(lambda transport=transport: transport.connected, 30, "the transport to come back")

    def close(self) -> None:
        for transport in self._transports:
            transport.close()

    def _names(self, at_least: int) -> list[str]:
        found = self._vhost.management.connections()
        names = [item["name"] for item in found if item.get("vhost") == self._vhost.name]
        return names if len(names) >= at_least else []


class Inbox:
    """A handler that keeps what it gets, settled or not."""

    def __init__(self, settle: str | None = "ack") -> None:
        self.deliveries: list[Delivery] = []
        self._settle = settle
        self._lock = threading.Lock()

    def __call__(self, delivery: Delivery) -> None:
        with self._lock:
            self.deliveries.append(delivery)
        if self._settle is not None:
            getattr(delivery, self._settle)()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in list(self.deliveries)]

    def wait_for(self, count: int, timeout_seconds: float = 20.0) -> list[Delivery]:
        wait_until(lambda: len(self.deliveries) >= count, timeout_seconds, f"{count} deliveries, got {self.bodies}")
        return list(self.deliveries)


@pytest.fixture(params=["embedded", "amqp"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Each transport in turn."""
    if request.param == "embedded":
        made: Bench = EmbeddedBench()
    else:
        made = AmqpBench(request.getfixturevalue("rabbitmq_vhost"))
    before = set(threading.enumerate())
    yield made
    made.close()
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left, f"threads left behind: {left}"
