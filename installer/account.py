"""An agent's account at the broker, during its installation: is it the one that the host has, or has it to be renewed?

The broker keeps a salted hash of the password, the host the password itself. Where the two fit, an installation that
finds all else right changes nothing; where they do not, because one before it was cut between the two, it renews both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol

from outrider.installer.broker import (
    AgentAccount,
    account_name,
    create_account,
    keep_account,
    read_password_hash,
    restore_password,
)
from outrider.messaging.amqp.management import ManagementClient, PasswordHash
from outrider.messaging.transport import Transport


class Account(Protocol):
    """What an installation needs of the agent's account."""

    @property
    def new_password(self) -> bool:
        """Whether it shall have a new password also where the host has the right one."""

    def known(self) -> Optional[PasswordHash]:
        """Return what the broker knows of the password; None if there is no account."""

    def keep(self) -> None:
        """Make sure of the queues and the rights, and leave the password."""

    def renew(self) -> AgentAccount:
        """Make the account, or give it a new password."""

    def restore(self, known: PasswordHash) -> None:
        """Give the account back the password that it had."""


@dataclass(frozen=True)
class BrokerAccount:
    """One agent's account at RabbitMQ. All methods raise `BrokerError`."""

    management: ManagementClient
    transport: Transport
    agent_id: str
    vhost: str
    #: Give it one also where the host has the right one.
    new_password: bool = False

    def known(self) -> Optional[PasswordHash]:
        """Return what the broker knows of the password; None if there is no account."""
        return read_password_hash(self.management, account_name(self.agent_id))

    def keep(self) -> None:
        """Make sure of the queues and the rights, and leave the password."""
        keep_account(self.management, self.transport, self.agent_id, vhost=self.vhost)

    def renew(self) -> AgentAccount:
        """Make the account, or give it a new password."""
        return create_account(self.management, self.transport, self.agent_id, vhost=self.vhost)

    def restore(self, known: PasswordHash) -> None:
        """Give the account back the password that it had."""
        restore_password(self.management, account_name(self.agent_id), known)
