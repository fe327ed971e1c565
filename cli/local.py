"""Composes dispatcher, broker and agent for one process: `outrider run`, `exec`, `dispatcher run`, and library use.

With no broker configured, broker and agent live in this process, and everything that is to survive lies in the home
folder. With a broker, only the dispatcher (and, if asked for, the central agent) runs here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outrider.cli.home import Home
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.settings import EngineSettings

# A command's parts are loaded where they are put together, by those that it has: its help needs none of them.
if TYPE_CHECKING:
    from outrider.agent.agent import Agent
    from outrider.agent.settings import Settings as AgentSettings
    from outrider.cli.host_agents import SettingsHostAgents
    from outrider.dispatcher.attempts import Files
    from outrider.dispatcher.dispatcher import Dispatcher
    from outrider.dispatcher.files import ContentStore, Enrol
    from outrider.dispatcher.manager_access import ManagerAddress
    from outrider.dispatcher.store.database import Database
    from outrider.messaging.amqp import AmqpSettings
    from outrider.messaging.embedded import EmbeddedBroker
    from outrider.messaging.transport import Transport
    from outrider.plugins.wagons import ProgressCallback

log = logging.getLogger(__name__)

#: How long a command waits for the broker before it says that there is none.
CONNECT_SECONDS = 15.0


@dataclass(frozen=True)
class Local:
    """What runs in this process."""

    dispatcher: Dispatcher
    #: None where no agent runs in this process.
    agent: Agent | None
    settings: CommandSettings
    #: Answers hosts that bring their agents themselves; None without a broker.
    enrol: Enrol | None = None


class SourceBuilder:
    """Builds plugins that blueprints name by ``source:``, once per content."""

    def __init__(self, files: ContentStore, builds: Path, progress: ProgressCallback | None = None) -> None:
        self._files = files
        self._builds = builds
        self._progress = progress

    def __call__(self, entry: Mapping[str, Any], root: Path) -> dict[str, Any]:
        """Build the plugin of a plan's entry; returns how the deployment remembers it."""
        source = (root / entry["source"]).resolve()
        if not source.is_relative_to(root.resolve()):
            raise DispatcherError(f"plugin {entry['name']!r}: its source {entry['source']!r} lies outside of {root}")
        # Plugins that are archives elsewhere lie below `plugins/`; a name alone may mean a folder there.
        if not source.exists() and (root / "plugins" / entry["source"]).exists():
            source = root / "plugins" / entry["source"]
        if not source.exists():
            raise DispatcherError(f"plugin {entry['name']!r}: there is no {source}")
        from outrider.dispatcher.plugin_uploads import built_record, store_wagon
        from outrider.plugins.wagons import build_source, read_wagon

        self._builds.mkdir(parents=True, exist_ok=True)
        wagon = read_wagon(build_source(source, self._builds, progress=self._progress))
        return built_record(wagon, store_wagon(self._files, wagon))


def amqp_settings(settings: CommandSettings, *, name: str) -> AmqpSettings:
    """Return how to reach the configured broker."""
    from outrider.messaging.amqp import AmqpSettings, TlsOptions

    connection = settings.connection
    tls = TlsOptions(
        ca_file=_text(connection.broker_ca_file),
        certificate_file=_text(connection.broker_certificate_file),
        key_file=_text(connection.broker_key_file),
    )
    return AmqpSettings(
        urls=connection.broker_urls, tls=tls, name=name, management_url=connection.broker_management_url
    )


def transport_of(settings: CommandSettings, *, name: str) -> Transport:
    """Connect to the configured broker. Raises `TransportError` with what each address answered."""
    from outrider.messaging.connect import open_transport

    return open_transport(amqp_settings(settings, name=name), connect_within_seconds=CONNECT_SECONDS)


@contextmanager
def opened(
    settings: CommandSettings,
    *,
    with_agent: bool | None = None,
    progress: ProgressCallback | None = None,
    agent_overrides: Callable[[AgentSettings], AgentSettings] = lambda unchanged: unchanged,
    files_for: Files | None = None,
    manager: ManagerAddress | None = None,
) -> Iterator[Local]:
    """Open everything for the time of the block, and close it in an order that loses nothing.

    `with_agent`: run the central agent in this process; by default, when the broker is in this process too.
    `files_for` tells an agent on another machine where to fetch files; without it, and with a broker outside of this
    process, they are served from here. `manager` is where operations find the manager, if this
    process is one. Raises `DispatcherError`, `TransportError`.
    """
    from outrider.dispatcher import doorbell
    from outrider.dispatcher.dispatcher import Dispatcher
    from outrider.dispatcher.files import ContentStore
    from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
    from outrider.dispatcher.store.database import Database

    home = settings.home.make()
    embedded = embedded_broker() if settings.embedded else None
    with ExitStack() as stack:
        database = Database(settings.database_url)
        stack.callback(database.close)
        files = ContentStore(home.files)
        secrets = SecretStore(DatabaseTable(database), KeyRing(home.secret_key))
        transport = embedded.transport() if embedded is not None else transport_of(settings, name="outrider dispatcher")
        stack.callback(transport.close)
        runs_agent = settings.embedded if with_agent is None else with_agent
        host_agents = host_agents_for(settings, database, files)
        enrol = None if host_agents is None else host_agents.enrol
        if files_for is None and not settings.embedded:
            from outrider.cli.files import served_files

            here = settings.engine.central_agent if runs_agent else None
            files_for = stack.enter_context(served_files(settings, files, here=here, enrol=enrol))
        if host_agents is not None:
            host_agents.files_for = files_for
        dispatcher = Dispatcher(
            database=database,
            files=files,
            transport=transport,
            settings=settings.engine,
            secrets=secrets,
            build_source=SourceBuilder(files, home.builds, progress),
            host_agents=host_agents,
            files_for=files_for,
            manager=manager,
        )
        stack.enter_context(dispatcher)
        dispatcher.on_end = partial(doorbell.ring, home.bells, doorbell.For.FOLLOWERS)
        stack.enter_context(doorbell.answered(home.bells, dispatcher.look))
        agent = None
        if runs_agent:
            agent_transport = (
                embedded.transport() if embedded is not None else transport_of(settings, name="outrider central agent")
            )
            stack.callback(agent_transport.close)
            from outrider.agent.agent import Agent

            agent = Agent(agent_overrides(agent_settings(settings)), agent_transport)
            agent.start()
            stack.callback(agent.stop, end_runners=True)
        yield Local(dispatcher, agent, settings, enrol)


def embedded_broker() -> EmbeddedBroker:
    """Return a broker inside this process."""
    from outrider.messaging.embedded import EmbeddedBroker

    return EmbeddedBroker()


def host_agents_for(settings: CommandSettings, database: Database, files: ContentStore) -> SettingsHostAgents | None:
    """Return how agents come onto hosts; None, and nothing of SSH is loaded, without a broker that can be managed."""
    if settings.embedded or settings.connection.broker_management_url is None:
        return None
    from outrider.cli.host_agents import host_agents_of

    return host_agents_of(settings, database, files)


@contextmanager
def local_dispatcher(
    home: Path | str,
    *,
    broker_urls: Sequence[str] = (),
    database_url: str | None = None,
    engine: EngineSettings | None = None,
) -> Iterator[Dispatcher]:
    """A dispatcher for somebody's Python job: ``with local_dispatcher("state") as dispatcher: dispatcher.run(…)``.

    Everything that is to survive lies below the folder `home`. Without `broker_urls`, broker and agent run in this
    process; with them, the agents are elsewhere. Raises `DispatcherError`, `TransportError`, `AgentError`.
    """
    connection = ConnectionSettings(broker_urls=tuple(broker_urls), database_url=database_url)
    settings = CommandSettings(Home(Path(home).expanduser().resolve()), connection, engine or EngineSettings(), {})
    with opened(settings) as local:
        yield local.dispatcher


def agent_settings(settings: CommandSettings) -> AgentSettings:
    """Return the settings of the agent that runs in this process."""
    from outrider.agent.settings import Settings as AgentSettings

    return AgentSettings(
        agent_id=settings.engine.central_agent,
        state_dir=settings.home.agent,
        lease_seconds=settings.engine.lease_seconds,
        heartbeat_seconds=min(5.0, settings.engine.lease_seconds / 4),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
