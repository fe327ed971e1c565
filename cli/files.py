"""Where agents fetch wagons and blueprint resources: an HTTP endpoint that starts with a dispatcher that has a broker.

Behind a broker, an agent may be on another machine; only the one in this process is sure to see this machine's folder.
The manager serves the same content under its own address, and needs none of this.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from outrider.cli.settings import CommandSettings
from outrider.dispatcher.attempts import Files
from outrider.dispatcher.files import (
    ContentStore,
    Enrol,
    FileTokens,
    ServerFailed,
    Subject,
    SubjectKind,
    local_ref,
)
from outrider.dispatcher.files.server import FilesServer, ServerSettings
from outrider.dispatcher.keyfile import load_key
from outrider.messaging.messages import FilesRef

log = logging.getLogger(__name__)

#: How long an agent's token is good: an operation may ask for a resource long after its task was published.
TOKEN_SECONDS = 24 * 3600.0


@contextmanager
def served_files(
    settings: CommandSettings, store: ContentStore, *, here: str | None, enrol: Enrol | None = None
) -> Iterator[Files]:
    """Serve `store` for the time of the block; yields what tells an agent where to fetch.

    `here` is the agent in this process, if one is: it reads the folder itself. `enrol` answers hosts that bring their
    agents themselves. Raises `ServerFailed`, `KeyFileError`.
    """
    tokens = FileTokens(load_key(settings.home.path / "files.key"))
    server = _started(settings, store, tokens, enrol)
    local = local_ref(store)

    def files_for(agent_id: str) -> FilesRef:
        if agent_id == here:
            return local
        subject = Subject(kind=SubjectKind.AGENT, id=agent_id)
        reference = server.ref(subject, lifetime_seconds=TOKEN_SECONDS)
        return replace(reference, url=settings.connection.files_url or reference.url)

    try:
        yield files_for
    finally:
        server.stop()


def _started(settings: CommandSettings, store: ContentStore, tokens: FileTokens, enrol: Enrol | None) -> FilesServer:
    wanted = ServerSettings(host=settings.connection.files_host, port=settings.connection.files_port)
    server = FilesServer(store, tokens, wanted, enrol=enrol)
    try:
        server.start()
    except ServerFailed as taken:
        if wanted.port == 0:
            raise
        # A short command beside the dispatcher's service: both read the same settings, and the service has the port.
        log.warning("%s; serving files on any free port instead", taken, extra={"action": "files_port"})
        server = FilesServer(store, tokens, replace(wanted, port=0), enrol=enrol)
        server.start()
    return server
