"""`outrider broker …`: bring a RabbitMQ into the shape that Outrider needs, or say what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import typer

from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import amqp_settings, transport_of
from outrider.cli.output import console, errors, fail
from outrider.cli.settings import CommandSettings, command_settings
from outrider.installer import (
    AgentNameInvalid,
    BrokerReport,
    InstallerError,
    check_broker,
    check_name,
    declare_agent,
    make_vhost,
    setup_broker,
)
from outrider.messaging.amqp.management import ManagementClient
from outrider.messaging.errors import MessagingError
from outrider.messaging.transport import Transport


@dataclass(frozen=True)
class Broker:
    """A broker that the settings name, with what is needed to manage it."""

    management: ManagementClient
    vhost: str
    account: str
    transport: Transport


def management_of(settings: CommandSettings) -> ManagementClient:
    """Return the management API's client, or end the command."""
    url = settings.connection.broker_management_url
    if settings.embedded or url is None:
        fail(
            "this needs a broker and its management address: set OUTRIDER_BROKER_URLS=amqps://account:…@host/vhost "
            "and OUTRIDER_BROKER_MANAGEMENT_URL=https://account:…@host:15671"
        )
    return ManagementClient(url)


@contextmanager
def opened_broker(settings: CommandSettings, *, setting_up: bool = False) -> Iterator[Broker]:
    """Connect to the broker for the time of the block; `setting_up` makes its virtual host first."""
    management = management_of(settings)
    vhost = amqp_settings(settings, name="outrider installer").vhost
    account = urlsplit(settings.connection.broker_urls[0]).username or "guest"
    if setting_up:
        make_vhost(management, vhost=vhost, account=account)
    transport = transport_of(settings, name="outrider installer")
    try:
        yield Broker(management, vhost, account, transport)
    finally:
        transport.close()


def setup(
    agents: Annotated[
        list[str] | None,
        typer.Option("--agent", help="Also the queues of this agent, which is started by hand; repeatable."),
    ] = None,
) -> None:
    """Make the virtual host, queues, exchanges and policies; running it again changes nothing."""
    settings, names = command_settings(), agents or []
    if settings.engine.central_agent in names:
        fail(f"{settings.engine.central_agent!r} is the central agent's name: give the host's agent another")
    try:
        for name in names:
            check_name(name)
        with opened_broker(settings, setting_up=True) as broker:
            report = setup_broker(broker.management, broker.transport, vhost=broker.vhost, account=broker.account)
            for name in names:
                declare_agent(broker.transport, name)
    except AgentNameInvalid as error:
        fail(str(error))
    except (InstallerError, MessagingError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    for line in (*report.done, *(f"queues of agent {name}" for name in names)):
        console.print(f"ready: {line}")
    conclude(report)


def check() -> None:
    """Say what the broker lacks, each with its remedy; changes nothing."""
    try:
        with opened_broker(command_settings()) as broker:
            report = check_broker(broker.management, broker.transport, vhost=broker.vhost, account=broker.account)
    except (InstallerError, MessagingError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    conclude(report)


def conclude(report: BrokerReport) -> None:
    """Print the gaps; the exit code tells whether there are any."""
    for gap in report.gaps:
        errors.print(f"gap: {gap.what}: {gap.remedy}", markup=False, soft_wrap=True)
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)
    console.print(f"RabbitMQ {report.version}, virtual host {report.vhost}: everything that Outrider needs is there")
