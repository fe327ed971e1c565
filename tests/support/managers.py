"""A manager for tests: `outrider up` as a process of its own, or the application in this one, on a free port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.manager_stub import Manager, ManagerServer, ManagerSettings
from outrider.messaging.embedded import EmbeddedBroker
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "only for tests"


@dataclass
class Running:
    """A manager that answers."""

    url: str
    password: str
    home: Path
    session: requests.Session = field(default_factory=requests.Session)
    authority: str | None = None
    #: The manager's process, where it is one of its own.
    pid: int | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def call(
        self,
        method: str,
        path: str,
        *,
        user: str | None = "admin",
        password: str | None = None,
        tenant: str = "default_tenant",
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> requests.Response:
        """Send a request below the API's prefix, or to an absolute path."""
        target = path if path.startswith(("/api", "/outrider", "/resources", "/files")) else f"/api/v3.1{path}"
        # Said with each request: an authority in the environment would count for more than the session's.
        arguments.setdefault("verify", self.authority or True)
        auth = None if user is None else (user, password or self.password)
        return self.session.request(
            method, self.url + target, auth=auth, headers={"Tenant": tenant, **(headers or {})}, timeout=60, **arguments
        )


@contextlib.contextmanager
def manager_process(home: Path, *options: str) -> Iterator[Running]:
    """Run `outrider up` in `home` until the end of the block."""
    environment = {**os.environ, "OUTRIDER_HOME": str(home)}
    home.mkdir(parents=True, exist_ok=True)
    log = home / "up.log"
    command = [sys.executable, "-m", "outrider.cli", "up", "--listen", "127.0.0.1:0", *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        found = wait_until(
            lambda: re.search(r"Outrider is at (\S+)[\s\S]+--rest-port \d+", log.read_text()) or process.poll(),
            60,
            f"the manager ({log})",
        )
        assert isinstance(found, re.Match), log.read_text()
        with requests.Session() as session:
            authority = home / "tls" / "ca.pem"
            yield Running(
                found[1],
                (home / "admin.password").read_text().strip(),
                home,
                session,
                authority=str(authority) if authority.exists() else None,
                pid=process.pid,
            )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def manager_here(folder: Path, **settings: Any) -> Iterator[tuple[Running, Manager]]:
    """Serve the application from this process, with a dispatcher whose engine does not run: nothing is executed."""
    broker = EmbeddedBroker()
    transport = broker.transport()
    dispatcher = Dispatcher(database=str(folder / "store.db"), files=folder / "files", transport=transport)
    secrets = SecretStore(DatabaseTable(dispatcher.database), KeyRing(folder / "secret.key"))
    manager = Manager(dispatcher, secrets, ManagerSettings(port=0, work=folder / "uploads", **settings))
    manager.first_admin(PASSWORD)
    try:
        with ManagerServer(manager) as server, requests.Session() as session:
            yield Running(server.url, PASSWORD, folder, session), manager
    finally:
        dispatcher.database.close()
        transport.close()
