"""`outrider dispatcher …`: run a dispatcher as a service, beside a broker; any number may run on one database."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from outrider.agent.errors import AgentError
from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import console, fail
from outrider.cli.settings import command_settings
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.garbage import collect_rarely
from outrider.messaging.errors import MessagingError


def run(
    broker: Annotated[str | None, typer.Option(help="amqp[s]://user:password@host[:port][/vhost], …")] = None,
    database: Annotated[
        str | None, typer.Option(help="SQLAlchemy address; default, SQLite in the home folder.")
    ] = None,
    central_agent: Annotated[bool, typer.Option(help="Also run the central agent in this process.")] = True,
) -> None:
    """Sequence executions until told to end. Another dispatcher takes over whatever is open then.

    Addresses with passwords are better given as OUTRIDER_BROKER_URLS and OUTRIDER_DATABASE_URL, which nobody else sees.
    """
    settings = command_settings({"broker_urls": broker, "database_url": database})
    configure_logging(settings.connection.log_level)
    if settings.embedded:
        fail("a dispatcher needs a broker: set OUTRIDER_BROKER_URLS, or use `outrider run`, which has its own")
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    try:
        with opened(settings, with_agent=central_agent) as local:
            collect_rarely()
            bound = settings.engine.verdict_bound_seconds
            console.print(
                f"dispatcher {local.dispatcher.engine.id} runs; an operation that nobody answers for gets its verdict "
                f"within {bound:g} s (start window {settings.engine.start_window_seconds:g} + lease "
                f"{settings.engine.lease_seconds:g} + grace {settings.engine.grace_seconds:g})",
                soft_wrap=True,
            )
            ending.wait()
    except (DispatcherError, MessagingError, AgentError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
