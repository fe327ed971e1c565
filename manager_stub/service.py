"""`Manager`: what all routes share, and the first start's account. Made by `outrider up`, held by the application."""

from __future__ import annotations

import copy
import secrets as random
from collections.abc import Callable

from outrider.dispatcher.dispatcher import Dispatcher
from outrider.dispatcher.files import Enrol, FileTokens
from outrider.dispatcher.secrets import SecretStore
from outrider.dispatcher.store import passwords, tenants, tokens, users
from outrider.dispatcher.store.users import User
from outrider.manager_stub.access import SYSTEM_ADMIN
from outrider.manager_stub.authentication import Authenticator
from outrider.manager_stub.metrics import Metrics
from outrider.manager_stub.reading import PageProcesses
from outrider.manager_stub.settings import ManagerSettings

ADMIN = "admin"


class Manager:
    """The dispatcher of this process, and what the manager adds to it."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        secrets: SecretStore,
        settings: ManagerSettings,
        *,
        file_tokens: FileTokens | None = None,
        enrol: Enrol | None = None,
        healthy: Callable[[], list[str]] = list,
    ) -> None:
        """`healthy` returns what is wrong with this process; readiness shows it. `enrol` answers hosts that ask."""
        self.dispatcher = dispatcher
        self.database = dispatcher.database
        self.content = dispatcher.content
        self.secrets = secrets
        self.settings = settings
        self.file_tokens = file_tokens
        self.enrol = enrol
        self.healthy = healthy
        self.metrics = Metrics()
        self.authenticator = Authenticator(self.database, settings)
        self.page_processes = PageProcesses(self.database.url, most=settings.page_processes)
        with self.database.begin() as connection:
            tenants.ensure(connection, tenants.DEFAULT, now=self.database.now(connection))

    def of_tenant(self, tenant: str) -> Dispatcher:
        """Return the dispatcher as a tenant's: the same engine and store, another name on what it makes."""
        view = copy.copy(self.dispatcher)
        view.tenant = tenant
        return view

    def first_admin(self, password: str | None = None) -> str | None:
        """Make the account `admin` if nobody can log in; return its password, or None if there are accounts."""
        chosen = password or random.token_urlsafe(15)
        hashed = passwords.hash_password(chosen)
        with self.database.begin() as connection:
            if users.any_exist(connection):
                return None
            now = self.database.now(connection)
            users.insert(connection, User(name=ADMIN, password_hash=hashed, role=SYSTEM_ADMIN), now=now)
            tenants.add_member(connection, tenants.DEFAULT, ADMIN, "admin")
        return chosen

    def execution_token(self, execution_id: str) -> str:
        """Return a token that an execution's operations may call back with, void when it ends."""
        with self.database.begin() as connection:
            now = self.database.now(connection)
            _token, text = tokens.create(connection, ADMIN, now=now, execution_id=execution_id)
        return text
