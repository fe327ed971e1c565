"""Preparing RabbitMQ for Outrider, checking it, and an account of its own for every agent.

`setup_broker` and `check_broker` stand behind ``outrider broker setup`` and ``check``; `create_account` and
`remove_account` are part of installing and uninstalling an agent. All are idempotent.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import quote, urlsplit, urlunsplit

from outrider.installer.errors import AgentNameInvalid, BrokerRefused, BrokerUnreachable
from outrider.messaging.amqp.management import ManagementClient, PasswordHash, Permissions, TopicPermissions
from outrider.messaging.amqp.policies import policies_for
from outrider.messaging.errors import ManagementFailed, TransportError
from outrider.messaging.topology import (
    HEARTBEATS,
    REPLIES,
    REQUESTS,
    RESULTS,
    UPDATES,
    agent_control_queue,
    agent_queue,
    agent_topology,
    shared_topology,
)
from outrider.messaging.transport import Transport

#: Quorum queues with what we need of them (at-least-once dead letters) are there from this version on.
OLDEST_RABBITMQ = (3, 10)
#: What an agent publishes to; its routing keys begin with its id everywhere.
AGENT_EXCHANGES = (RESULTS, UPDATES, HEARTBEATS, REQUESTS, REPLIES)
#: No dots: topic permissions go by the first word of the routing key, queue names by what follows a dot.
AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
EVERYTHING = Permissions(".*", ".*", ".*")


@dataclass(frozen=True)
class Gap:
    """Something that the broker lacks."""

    what: str
    remedy: str


@dataclass(frozen=True)
class BrokerReport:
    """How a broker stands."""

    version: str
    vhost: str
    gaps: tuple[Gap, ...]
    #: What `setup_broker` did, for a person.
    done: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether Outrider can work with it."""
        return not self.gaps


@dataclass(frozen=True)
class AgentAccount:
    """An agent's own account at the broker."""

    agent_id: str
    username: str
    password: str = field(repr=False)

    def url(self, address: str) -> str:
        """Return the address (``amqp[s]://host[:port][/vhost]``) with this account in it."""
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        account = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{account}@{host}"))


def setup_broker(management: ManagementClient, transport: Transport, *, vhost: str, account: str) -> BrokerReport:
    """Make the virtual host, the topology and its policies, and return how the broker stands then.

    `transport` is connected as `account`, which gets all rights in the virtual host: dispatchers use it. Make the
    virtual host first (`make_vhost`) if the transport cannot connect without it.
    """
    make_vhost(management, vhost=vhost, account=account)
    with _translated():
        transport.declare(shared_topology())
        for policy in policies_for(shared_topology()):
            management.declare_policy(vhost, policy)
        for policy in policies_for(agent_topology("any")):
            management.declare_policy(vhost, policy)
    report = check_broker(management, transport, vhost=vhost, account=account)
    done = (f"virtual host {vhost}", f"rights of {account}", "exchanges, queues and bindings", "policies")
    return BrokerReport(report.version, vhost, report.gaps, done)


def make_vhost(management: ManagementClient, *, vhost: str, account: str) -> None:
    """Make the virtual host and give an account all rights in it."""
    with _translated():
        if vhost not in management.vhosts():
            management.declare_vhost(vhost)
        if management.permissions(vhost, account) != EVERYTHING:
            management.set_permissions(vhost, account, EVERYTHING)


def declare_agent(transport: Transport, agent_id: str) -> None:
    """Make an agent's queues; its account is somebody else's matter. Raises `AgentNameInvalid`."""
    check_name(agent_id)
    with _translated():
        transport.declare(agent_topology(agent_id))


def check_broker(management: ManagementClient, transport: Transport, *, vhost: str, account: str) -> BrokerReport:
    """Look, change nothing, and return every gap with its remedy; raises `BrokerUnreachable` if nobody answers."""
    with _translated():
        version = management.version()
        vhosts = management.vhosts()
        gaps = [*_version_gaps(version)]
        if vhost not in vhosts:
            gaps.append(Gap(f"virtual host {vhost} does not exist", "run `outrider broker setup`"))
            return BrokerReport(version, vhost, tuple(gaps))
        gaps += _permission_gaps(management, vhost, account)
        gaps += _policy_gaps(management, vhost)
    try:
        transport.check(shared_topology())
    except TransportError as error:
        gaps.append(Gap(str(error), "run `outrider broker setup`"))
    return BrokerReport(version, vhost, tuple(gaps))


def create_account(management: ManagementClient, transport: Transport, agent_id: str, *, vhost: str) -> AgentAccount:
    """Make an agent's queues and its account, with a new password, and return the account.

    It may read its two queues and write under its own routing keys; it may declare and delete nothing.
    """
    declare_agent(transport, agent_id)
    account = AgentAccount(agent_id, account_name(agent_id), secrets.token_urlsafe(32))
    with _translated():
        management.declare_user(account.username, account.password)
        _permit(management, agent_id, vhost=vhost)
    return account


def enrol_account(
    management: ManagementClient, transport: Transport, agent_id: str, *, vhost: str, password_hash: str
) -> None:
    """Do as `create_account` with a password that the agent made itself, and of which only the hash left its host."""
    declare_agent(transport, agent_id)
    with _translated():
        management.declare_user_by_hash(account_name(agent_id), PasswordHash(password_hash))
        _permit(management, agent_id, vhost=vhost)


def keep_account(management: ManagementClient, transport: Transport, agent_id: str, *, vhost: str) -> None:
    """Do as `create_account` for an account that is there, and leave its password."""
    declare_agent(transport, agent_id)
    with _translated():
        _permit(management, agent_id, vhost=vhost)


def read_password_hash(management: ManagementClient, username: str) -> Optional[PasswordHash]:
    """Return what the broker keeps of an account's password; None if there is no such account."""
    with _translated():
        return management.password_hash(username)


def restore_password(management: ManagementClient, username: str, password: PasswordHash) -> None:
    """Give an account the password that it had, of which only the broker's hash is known."""
    with _translated():
        management.declare_user_by_hash(username, password)


def _permit(management: ManagementClient, agent_id: str, *, vhost: str) -> None:
    name = account_name(agent_id)
    management.set_permissions(vhost, name, agent_permissions(agent_id))
    for exchange in AGENT_EXCHANGES:
        topic = TopicPermissions(exchange, write=f"^{re.escape(agent_id)}\\.")
        management.set_topic_permissions(vhost, name, topic)


def remove_account(management: ManagementClient, transport: Transport, agent_id: str) -> None:
    """Remove an agent's account, its connections and its queues with what is in them."""
    check_name(agent_id)
    name = account_name(agent_id)
    with _translated():
        if name in management.users():
            management.delete_user(name)
        # The broker checks an account when a connection is opened: those that are open have to be closed.
        for connection in management.connections():
            if connection.get("user") == name:
                management.close_connection(str(connection["name"]))
        transport.delete_queue(agent_queue(agent_id))
        transport.delete_queue(agent_control_queue(agent_id))


def check_name(agent_id: str) -> str:
    """Return an agent's id if it is safe in the broker's permissions; raises `AgentNameInvalid`."""
    if not AGENT_ID.fullmatch(agent_id):
        raise AgentNameInvalid(f"{agent_id!r} cannot be an agent's id: up to 100 letters, digits, '_' and '-' can")
    return agent_id


def account_name(agent_id: str) -> str:
    """Return the name of an agent's account: what consumers compare a message's sender with."""
    return f"outrider-agent-{agent_id}"


def agent_permissions(agent_id: str) -> Permissions:
    """Return what an agent may do, apart from routing keys."""
    queues = "|".join(re.escape(name) for name in (agent_queue(agent_id), agent_control_queue(agent_id)))
    exchanges = "|".join(re.escape(name) for name in AGENT_EXCHANGES)
    return Permissions(configure="^$", write=f"^({exchanges})$", read=f"^({queues})$")


def _version_gaps(version: str) -> list[Gap]:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_RABBITMQ:
        return []
    return [Gap(f"RabbitMQ is {version}, 3.10 or later is needed", "upgrade RabbitMQ")]


def _permission_gaps(management: ManagementClient, vhost: str, account: str) -> list[Gap]:
    if management.permissions(vhost, account) == EVERYTHING:
        return []
    remedy = f"run `outrider broker setup`, or `rabbitmqctl set_permissions -p {vhost} {account} '.*' '.*' '.*'`"
    return [Gap(f"account {account} does not have all rights in virtual host {vhost}", remedy)]


def _policy_gaps(management: ManagementClient, vhost: str) -> list[Gap]:
    have = {policy.name for policy in management.policies(vhost)}
    wanted = [*policies_for(shared_topology()), *policies_for(agent_topology("any"))]
    return [
        Gap(f"policy {policy.name} is missing", "run `outrider broker setup`")
        for policy in wanted
        if policy.name not in have
    ]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ManagementFailed as error:
        text = str(error)
        if "401" in text or "403" in text:
            remedy = "use an account with the tag `administrator`"
            raise BrokerRefused(f"the broker's management API refuses: {text}", remedy=remedy) from error
        remedy = "check the address, and enable the plugin: rabbitmq-plugins enable rabbitmq_management"
        raise BrokerUnreachable(f"the broker's management API: {text}", remedy=remedy) from error
    except TransportError as error:
        raise BrokerUnreachable(str(error), remedy="check the broker's address and account") from error
