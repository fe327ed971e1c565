"""The AMQP transport."""
