"""An agent's account as an installation needs it, without a broker: remembers every password that it was given."""

from __future__ import annotations

from outrider.installer.broker import AgentAccount, account_name
from outrider.installer.onhost.bootstrap import hash_password
from outrider.messaging.amqp.management import PasswordHash


class RememberedAccount:
    """An `outrider.installer.Account`."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.new_password = False
        self.passwords: list[str] = []
        self.kept = 0
        self._hash: PasswordHash | None = None

    def known(self) -> PasswordHash | None:
        return self._hash

    def keep(self) -> None:
        self.kept += 1

    def renew(self) -> AgentAccount:
        self.passwords.append(f"password/{len(self.passwords)}")
        self._hash = PasswordHash(hash_password(self.passwords[-1]))
        return AgentAccount(self.agent_id, account_name(self.agent_id), self.passwords[-1])

    def restore(self, known: PasswordHash) -> None:
        self._hash = known
