"""The service on a host: ``python -m outrider.agent --config FILE``.

SIGTERM: takes no more tasks and stops; running operations go on, and the next start finds them. ``stop-all`` ends them
and their runners, and says what it could prove: the uninstaller calls it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Optional

from outrider.agent import lean  # first of all: the AMQP library is imported by what follows
from outrider.agent.agent import Agent
from outrider.agent.errors import AgentError, SettingsError
from outrider.agent.notify import ServiceManager
from outrider.agent.recent_log import FORMAT, RecentLog
from outrider.agent.settings import Settings, load
from outrider.agent.stopping import stop_everything
from outrider.agent.upgrade import Upgrades
from outrider.messaging import topology
from outrider.messaging.amqp import AmqpSettings, AmqpTransport, TlsOptions
from outrider.messaging.errors import MessagingError, TopologyMismatch
from outrider.messaging.messages import ControlKind
from outrider.messaging.version import __version__

logger = logging.getLogger("outrider.agent")

_EXIT_FAILED, _EXIT_USAGE = 1, 2
_ROUND_SECONDS = 5.0
_CONNECT_SECONDS = 5.0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the agent until it is told to stop; returns the exit status."""
    options = _parser().parse_args(arguments)
    flags = {item.name: getattr(options, item.name) for item in fields(Settings) if item.name != "origins"}
    try:
        required = ("broker_urls",) if options.command == "run" else ()
        settings = load(options.config, environment=os.environ, flags=flags, required=required)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        return _EXIT_USAGE
    os.environ.update(settings.variables)
    logging.basicConfig(level=settings.log_level.upper(), stream=sys.stderr, format=FORMAT)
    # The AMQP library reports every reconnection at several levels of its own.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        return _stop_all(settings) if options.command == "stop-all" else _serve(settings, RecentLog.attached())
    except (AgentError, MessagingError) as error:
        logger.error("%s", error)  # noqa: TRY400 - the text says what to do; a traceback would hide it
        return _EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m outrider.agent", description="The Outrider agent.")
    parser.add_argument("command", nargs="?", choices=("run", "stop-all"), default="run")
    parser.add_argument("--config", type=Path, help="settings file (TOML)")
    parser.add_argument("--version", action="version", version=__version__)
    for item in fields(Settings):
        if item.name != "origins":
            parser.add_argument(f"--{item.name.replace('_', '-')}", metavar="VALUE")
    return parser


def _serve(settings: Settings, recent_log: RecentLog) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    lean.collect_rarely()
    manager = ServiceManager()
    transport = AmqpTransport(_amqp(settings))
    try:
        # The service is up as soon as it tries: a broker that is away is no reason for systemd to start it over.
        manager.ready("connecting to the broker")
        if not _await_broker(settings, transport, manager, stop):
            return 0
        upgrades = Upgrades(settings.state_dir)
        beside = {ControlKind.LOGS: recent_log.answer, ControlKind.UPGRADE: upgrades.answer}
        agent = Agent(settings, transport, beside=beside)
        agent.start()
        upgrades.go_on()
        try:
            _watch(agent, manager, stop)
        finally:
            manager.stopping("stopping; operations go on")
            agent.stop()
    finally:
        transport.close()
    return 0


def _await_broker(settings: Settings, transport: AmqpTransport, manager: ServiceManager, stop: threading.Event) -> bool:
    """Wait until the broker is there and has this agent's queues; False if told to stop before."""
    said = ""
    while not stop.is_set():
        try:
            transport.wait_connected(_CONNECT_SECONDS)
            transport.check(topology.agent_topology(settings.agent_id))
        except TopologyMismatch as error:
            said = _say_once(
                said,
                f"the broker does not know this agent: {error}; `outrider agent install` makes them, and for an agent "
                f"that is started by hand `outrider broker setup --agent {settings.agent_id}`",
            )
        except MessagingError as error:
            said = _say_once(said, f"no broker yet: {error}")
        else:
            return True
        manager.alive("waiting for the broker")
        stop.wait(_CONNECT_SECONDS)
    return False


def _say_once(said: str, text: str) -> str:
    if text != said:
        logger.warning("%s", text)
    return text


def _watch(agent: Agent, manager: ServiceManager, stop: threading.Event) -> None:
    interval = min(_ROUND_SECONDS, manager.watchdog_seconds / 3 or _ROUND_SECONDS)
    while not stop.wait(interval):
        if agent.healthy:
            manager.alive(agent.status)
        else:
            # Without its consumer it does nothing: the watchdog starts it over if that lasts.
            logger.warning("the broker does not serve this agent's queue at the moment")


def _stop_all(settings: Settings) -> int:
    report = stop_everything(settings)
    for line in report.lines:
        logger.info("%s", line)
    return 0 if report.proven else _EXIT_FAILED


def _amqp(settings: Settings) -> AmqpSettings:
    def text(path: Optional[Path]) -> Optional[str]:
        return None if path is None else str(path)

    return AmqpSettings(
        urls=settings.broker_urls,
        tls=TlsOptions(
            ca_file=text(settings.broker_ca_file),
            certificate_file=text(settings.broker_certificate_file),
            key_file=text(settings.broker_key_file),
        ),
        user_id=True,
        name=f"outrider agent {settings.agent_id}",
    )


if __name__ == "__main__":
    sys.exit(main())
