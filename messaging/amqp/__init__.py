"""The transport over RabbitMQ (3.10 or later), on pika.

* `settings`: addresses, TLS, times. `addresses`: URLs, shown without passwords.
* `link`: one connection with its thread, which comes back by itself, from broker to broker.
* `publisher`: publishing with pipelined confirms. `consumer`: taking messages. `requests`: declare, check, delete.
* `policies`, `management`: what is not AMQP: policies, accounts, virtual hosts.
* `transport`: fulfils the contract with these.

A transport has one link to publish and one to consume, because RabbitMQ stops reading from connections that publish
while it is short of memory or disk: acknowledgements have to get through then.
"""

from outrider.messaging.amqp.settings import AmqpSettings, TlsOptions
from outrider.messaging.amqp.transport import AmqpTransport

__all__ = ["AmqpSettings", "AmqpTransport", "TlsOptions"]
