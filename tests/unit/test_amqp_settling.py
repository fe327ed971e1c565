"""What a consumer says to the broker about its messages: everything once, and together what can be."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from outrider.messaging.amqp.consumer import AmqpConsumer
from outrider.messaging.amqp.link import Link
from outrider.messaging.listeners import Listeners
from outrider.messaging.transport import Delivery


class FakeLink:
    """Runs nothing before it is told to."""

    in_own_thread = False

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []

    def call(self, function: Callable[[], None]) -> bool:
        self._calls.append(function)
        return True

    def run(self) -> None:
        for each in self._calls:
            each()
        self._calls.clear()


class FakeChannel:
    """Writes down what it is told; the first channel of its connection."""

    is_open = True

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def channel(self, **_callbacks: object) -> FakeChannel:
        return self

    def add_on_close_callback(self, _callback: object) -> None: ...

    def add_on_cancel_callback(self, _callback: object) -> None: ...

    def basic_ack(self, tag: int, *, multiple: bool = False) -> None:
        self.said.append(("up to" if multiple else "only", tag))

    def basic_reject(self, tag: int, *, requeue: bool) -> None:
        self.said.append(("back" if requeue else "dead", tag))


class Consumed:
    """A consumer that was handed six messages, tags 1 to 6."""

    def __init__(self) -> None:
        self.link, self.channel = FakeLink(), FakeChannel()
        self.deliveries: list[Delivery] = []
        link, connection = cast("Link", self.link), cast("Any", self.channel)
        self.consumer = AmqpConsumer(link, "work", self.deliveries.append, prefetch=6, rejections=Listeners())
        self.consumer.link_up(connection)
        properties = cast("Any", SimpleNamespace(headers=None, message_id=None, user_id=None, unreadable=None))
        for tag in range(1, 7):
            method = SimpleNamespace(exchange="", routing_key="work", redelivered=False, delivery_tag=tag)
            self.consumer._received(connection, cast("Any", method), properties, b"")

    def ack(self, *tags: int) -> list[tuple[Any, ...]]:
        """Acknowledge; returns what the broker is told then."""
        for tag in tags:
            self.deliveries[tag - 1].ack()
        self.link.run()
        said = list(self.channel.said)
        self.channel.said.clear()
        return said


@pytest.fixture
def consumed() -> Consumed:
    return Consumed()


def test_those_before_the_first_open_one_are_acknowledged_together(consumed: Consumed) -> None:
    assert consumed.ack(3, 1, 2, 6) == [("up to", 3), ("only", 6)]
    assert consumed.ack(5) == [("only", 5)]
    # 5 and 6 are settled before it, one by one, so it is the first and the last that is open.
    assert consumed.ack(4) == [("up to", 4)]


def test_rejected_ones_are_not_acknowledged(consumed: Consumed) -> None:
    consumed.deliveries[1].requeue()
    consumed.deliveries[2].reject("unreadable")
    assert consumed.ack(1, 4) == [("back", 2), ("dead", 3), ("up to", 4)]


def test_what_a_lost_connection_handed_out_is_not_mentioned_to_the_next_one(consumed: Consumed) -> None:
    consumed.deliveries[0].ack()
    consumed.consumer.link_down()
    consumed.consumer.link_up(cast("Any", FakeChannel()))
    assert consumed.ack(2) == []
