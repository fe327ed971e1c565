"""The one place that turns an address into a transport; for whoever has a setting of either kind."""

from __future__ import annotations

from typing import Optional, Union

from outrider.messaging.amqp import AmqpSettings, AmqpTransport
from outrider.messaging.embedded import EmbeddedBroker
from outrider.messaging.errors import InvalidSettings, TransportError
from outrider.messaging.transport import Transport

#: The address that means the broker inside this process.
EMBEDDED = "embedded"


def open_transport(
    where: Union[str, AmqpSettings],
    *,
    embedded_broker: Optional[EmbeddedBroker] = None,
    connect_within_seconds: Optional[float] = None,
) -> Transport:
    """Return a transport for ``embedded``, for ``amqp://…[,amqp://…]`` (tried in turn), or for settings.

    With `connect_within_seconds` it is connected when this returns, and `ConnectFailed` says why it could not be;
    without, it connects in the background, for as long as that takes. Raises `InvalidSettings`.
    """
    if where == EMBEDDED:
        if embedded_broker is None:
            raise InvalidSettings("the embedded transport needs the process's EmbeddedBroker")
        return embedded_broker.transport()
    settings = AmqpSettings(urls=split_urls(where)) if isinstance(where, str) else where
    transport = AmqpTransport(settings)
    if connect_within_seconds is not None:
        try:
            transport.wait_connected(connect_within_seconds)
        except TransportError:
            transport.close(timeout_seconds=1.0)
            raise
    return transport


def split_urls(text: str) -> tuple[str, ...]:
    """Return the addresses of a setting in which commas separate them."""
    return tuple(url.strip() for url in text.split(",") if url.strip())
