"""What a dispatcher of this command needs to have agents put on hosts; see `outrider.dispatcher.host_agents`."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from outrider.cli.settings import CommandSettings
from outrider.dispatcher.attempts import Files
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.files import ContentStore, EnrolmentDelayed, EnrolmentRefused, FileTokens, Subject, SubjectKind
from outrider.dispatcher.host_agents import check_enrolment, check_known
from outrider.dispatcher.keyfile import load_key
from outrider.dispatcher.store.database import Database
from outrider.installer.access import InstallerAccess
from outrider.installer.bundle.kept import ensure_bundle
from outrider.installer.bundle.zipapps import pack_host_program
from outrider.installer.enrolment import answer_enrolment, offer_upgrade
from outrider.installer.errors import BrokerUnreachable, InstallerError
from outrider.installer.initscript import TOKEN_SECONDS, init_script
from outrider.messaging.codec import to_json
from outrider.messaging.errors import MessagingError
from outrider.messaging.version import __version__

log = logging.getLogger(__name__)


class SettingsHostAgents:
    """`HostAgents` by the settings of the command, and the answer to hosts that enrol."""

    def __init__(self, access: InstallerAccess, database: Database, content: ContentStore, tokens: FileTokens) -> None:
        self._access = access
        self._database = database
        self._content = content
        self._tokens = tokens
        self._building = threading.Lock()
        #: Where hosts fetch files; set by whoever serves them.
        self.files_for: Files | None = None

    def installer_access(self, agent_id: str) -> dict[str, Any]:
        """Return what the plugin `agent` reads."""
        if self.files_for is None:
            return self._access.to_json()
        subject = Subject(kind=SubjectKind.ENROLMENT, id=agent_id)
        token = self._tokens.issue(subject, lifetime_seconds=TOKEN_SECONDS)
        return replace(self._access, files=to_json(self.files_for(agent_id)), files_token=token).to_json()

    def init_script(self, agent_id: str) -> str:
        """Return the user data of a host. Raises `DispatcherError` if the host could not reach what it names."""
        if self.files_for is None:
            raise DispatcherError("this process serves no files: hosts cannot fetch their agents")
        files = self.files_for(agent_id)
        if not _reachable(files.url):
            raise DispatcherError(
                f"hosts cannot fetch their agents from {files.url}: set files_host to an address of this machine that "
                "they reach (and files_port), or files_url, and start the dispatcher again"
            )
        subject = Subject(kind=SubjectKind.ENROLMENT, id=agent_id)
        token = self._tokens.issue(subject, lifetime_seconds=TOKEN_SECONDS)
        return init_script(agent_id, url=files.url, token=token, ca_pem=files.ca_pem, program=self._program)

    def enrol(self, agent_id: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a host, or who upgrades its agent; on a thread of the files' server.

        Raises `EnrolmentRefused`, `EnrolmentDelayed`.
        """
        if "upgrade" in said:
            return self._offer(agent_id, said["upgrade"])
        with self._database.read() as connection:
            expected = check_enrolment(connection, agent_id)
        path = self._bundle()
        try:
            with tempfile.TemporaryDirectory() as folder, self._access.transport(Path(folder)) as transport:
                return answer_enrolment(
                    agent_id,
                    said,
                    access=self._access,
                    transport=transport,
                    bundle=ensure_bundle(path),
                    store=self._store,
                    config=expected.details.get("agent_config") or {},
                )
        except (MessagingError, BrokerUnreachable) as error:
            log.warning("agent %s cannot enrol now: %s", agent_id, error, extra={"action": "enrolment_delayed"})
            raise EnrolmentDelayed(f"the broker does not answer: {error}") from error
        except InstallerError as error:
            raise EnrolmentRefused(str(error)) from error

    def _offer(self, agent_id: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer for an agent that is there and shall become this release."""
        with self._database.read() as connection:
            check_known(connection, agent_id)
        try:
            return offer_upgrade(wanted, bundle=ensure_bundle(self._bundle()), store=self._store)
        except InstallerError as error:
            raise EnrolmentRefused(str(error)) from error

    def _bundle(self) -> Path:
        """Return the bundle's file. Raises `EnrolmentDelayed` while it is being made."""
        path = Path(self._access.bundle)
        if not path.exists():
            self._build(path)
            raise EnrolmentDelayed(f"the bundle {path} is being made")
        return path

    def _store(self, data: bytes) -> str:
        return self._content.put_bytes(data).sha256

    @cached_property
    def _program(self) -> str:
        """The hash of the program that runs on hosts."""
        with tempfile.TemporaryDirectory() as folder:
            return self._content.put_file(pack_host_program(Path(folder) / "host.pyz")).sha256

    def _build(self, path: Path) -> None:
        """Have the bundle made in the background; a host asks again."""
        if not self._building.acquire(blocking=False):
            return

        def build() -> None:
            try:
                ensure_bundle(path)
            except InstallerError as error:
                log.error("no agent can be brought to hosts: %s", error, extra={"action": "bundle"})  # noqa: TRY400 - the text says it all
            finally:
                self._building.release()

        threading.Thread(target=build, name="bundle", daemon=True).start()


def host_agents_of(settings: CommandSettings, database: Database, content: ContentStore) -> SettingsHostAgents | None:
    """Return how agents come onto hosts; None without a broker that can be managed."""
    connection = settings.connection
    if settings.embedded or connection.broker_management_url is None:
        return None
    access = InstallerAccess(
        broker_urls=connection.broker_urls,
        management_url=connection.broker_management_url,
        hosts_broker_urls=connection.hosts_broker_urls,
        broker_ca_pem=connection.broker_ca_file.read_text(encoding="utf-8") if connection.broker_ca_file else None,
        broker_certificate_file=str(connection.broker_certificate_file) if connection.broker_certificate_file else None,
        broker_key_file=str(connection.broker_key_file) if connection.broker_key_file else None,
        bundle=str(connection.agent_bundle or settings.home.path / "bundles" / f"outrider-agent-{__version__}.tar"),
        accept_new_host_keys=connection.accept_new_host_keys,
        lease_seconds=settings.engine.lease_seconds,
    )
    return SettingsHostAgents(access, database, content, FileTokens(load_key(settings.home.path / "files.key")))


def _reachable(url: str) -> bool:
    """Tell whether an address may be one for other machines; a name is believed."""
    parts = urlsplit(url)
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return parts.hostname not in (None, "localhost")
    return not (address.is_loopback or address.is_unspecified)
