"""Requests that the broker answers: declare, look for, delete. Each runs on a channel of its own in the link's thread.

A broker answers a request that it cannot fulfil by closing the channel, hence the channel of its own; and requests are
written as generators, so that a sequence reads as one although each answer arrives in a callback.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from functools import partial
from typing import Any, Callable, Generic, TypeVar

import pika
from pika.channel import Channel

from outrider.messaging.amqp.failures import channel_failure
from outrider.messaging.amqp.policies import queue_arguments
from outrider.messaging.transport import Topology

T = TypeVar("T")

#: Yields bound methods of the channel that take `callback=`; is sent each one's answer; returns the result.
Steps = Generator[Callable[..., object], Any, T]


class ChannelRequest(Generic[T]):
    """Runs steps on a new channel, closes it, and puts the outcome into `future`."""

    def __init__(self, steps: Callable[[Channel], Steps[T]], *, what: str) -> None:
        self.future: Future[T] = Future()
        self._make_steps = steps
        self._what = what

    def run(self, connection: pika.SelectConnection) -> None:
        """Begin; in the link's thread."""
        channel = connection.channel(on_open_callback=self._opened)
        channel.add_on_close_callback(self._closed)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        self._steps = self._make_steps(channel)
        self._advance(None)

    def _advance(self, answer: Any) -> None:
        try:
            request = self._steps.send(answer)
            request(callback=self._advance)
        except StopIteration as end:
            self.future.set_result(end.value)
            self._channel.close()
        except Exception as error:  # noqa: BLE001 - pika refuses bad names in many ways; the caller is told in each case
            self.future.set_exception(error)
            if self._channel.is_open:
                self._channel.close()

    def _closed(self, _channel: Channel, reason: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(channel_failure(reason, what=self._what))


def declare(topology: Topology, channel: Channel) -> Steps[None]:
    """Declare everything of a topology."""
    for exchange in topology.exchanges:
        yield partial(channel.exchange_declare, exchange.name, exchange_type=exchange.kind.value, durable=True)
    for queue in topology.queues:
        yield partial(
            channel.queue_declare,
            queue.name,
            durable=not queue.exclusive,
            exclusive=queue.exclusive,
            arguments=queue_arguments(queue),
        )
    for binding in topology.bindings:
        yield partial(channel.queue_bind, binding.queue, binding.exchange, routing_key=binding.routing_key)


def check_exchange(name: str, channel: Channel) -> Steps[None]:
    """Look whether an exchange exists."""
    yield partial(channel.exchange_declare, name, passive=True)


def check_queue(name: str, channel: Channel) -> Steps[None]:
    """Look whether a queue exists."""
    yield partial(channel.queue_declare, name, passive=True)


def queue_depth(name: str, channel: Channel) -> Steps[int]:
    """Return how many messages wait in a queue."""
    answer = yield partial(channel.queue_declare, name, passive=True)
    depth: int = answer.method.message_count
    return depth


def delete_queue(name: str, channel: Channel) -> Steps[None]:
    """Delete a queue; the broker is content if it does not exist."""
    yield partial(channel.queue_delete, name)
