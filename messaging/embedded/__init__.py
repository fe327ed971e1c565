"""The transport inside one process: a small broker of our own, with RabbitMQ's semantics as far as Outrider uses them.

`outrider run`, `outrider up`, the library's default and nearly all tests run on it. One `EmbeddedBroker` per process,
one `transport()` for each party; nothing outlives the process (what must survive lies in the store and the journal).

Why not kombu's in-process transport, which would be ready-made: it knows neither publisher confirms nor ``mandatory``,
no expiry, no dead letters, no length limits, no single active consumer, and all of these are evidence that Outrider's
verdicts rest on; and its consumers poll, which alone costs 2.4 ms per round trip.

`broker` is the face, `core` routes and decides, `exchange` and `queue` hold the state, `expiry` is the clock,
`transport` fulfils the contract.
"""

from outrider.messaging.embedded.broker import EmbeddedBroker
from outrider.messaging.embedded.transport import EmbeddedTransport

__all__ = ["EmbeddedBroker", "EmbeddedTransport"]
