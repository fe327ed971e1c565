"""With agent A's account at a real broker nothing of B's can be read, purged, deleted or forged (promise 8)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest
import typer

from outrider.agent.__main__ import _await_broker
from outrider.agent.notify import ServiceManager
from outrider.agent.settings import Settings
from outrider.cli import broker
from outrider.installer.account import BrokerAccount
from outrider.installer.broker import (
    AgentAccount,
    account_name,
    agent_permissions,
    check_broker,
    create_account,
    enrol_account,
    remove_account,
    setup_broker,
)
from outrider.installer.errors import AgentNameInvalid
from outrider.installer.onhost.bootstrap import hash_password
from outrider.installer.onhost.configuration import fits
from outrider.messaging.amqp import AmqpSettings, AmqpTransport
from outrider.messaging.amqp.management import Permissions
from outrider.messaging.topology import (
    CONTROL,
    HEARTBEATS,
    OPERATIONS,
    REPLIES,
    REQUESTS,
    RESULTS,
    UPDATES,
    agent_control_queue,
    agent_queue,
)
from tests.support.rabbitmq import VirtualHost
from tests.support.waiting import wait_until

OWN_EXCHANGES = (RESULTS, UPDATES, HEARTBEATS, REQUESTS, REPLIES)


@pytest.fixture
def transport(rabbitmq_vhost: VirtualHost) -> Iterator[AmqpTransport]:
    made = AmqpTransport(AmqpSettings(urls=(rabbitmq_vhost.url,), management_url=rabbitmq_vhost.node.management_url))
    yield made
    made.close()


@pytest.fixture
def account(rabbitmq_vhost: VirtualHost, transport: AmqpTransport) -> Iterator[AgentAccount]:
    """Agent A's account; agent B exists too."""
    vhost, management = rabbitmq_vhost.name, rabbitmq_vhost.management
    setup_broker(management, transport, vhost=vhost, account=rabbitmq_vhost.node.username)
    create_account(management, transport, "b", vhost=vhost)
    yield create_account(management, transport, "a", vhost=vhost)
    for agent in ("a", "b"):
        remove_account(management, transport, agent)


@pytest.fixture
def channel(rabbitmq_vhost: VirtualHost, account: AgentAccount) -> Iterator[Any]:
    """A channel of A's, with confirms, so that a refusal is heard."""
    parameters = pika.URLParameters(account.url(rabbitmq_vhost.url))
    connection = pika.BlockingConnection(parameters)
    opened = connection.channel()
    opened.confirm_delivery()
    yield opened
    if connection.is_open:
        connection.close()


def publish(channel: Any, exchange: str, key: str, **properties: Any) -> None:
    channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(**properties))


def refused(call: Any, *arguments: Any, **named: Any) -> None:
    """Assert that the broker refuses by its permissions, not for another reason."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        call(*arguments, **named)
    assert caught.value.reply_code == 403, caught.value


@pytest.mark.parametrize("exchange", OWN_EXCHANGES)
def test_a_publishes_under_its_own_name(channel: Any, account: AgentAccount, exchange: str) -> None:
    publish(channel, exchange, "a.x", user_id=account.username)


def test_a_reads_and_checks_its_own_queues(channel: Any) -> None:
    for queue in (agent_queue("a"), agent_control_queue("a")):
        channel.queue_declare(queue, passive=True)
        channel.basic_cancel(channel.basic_consume(queue, lambda *_: None))


@pytest.mark.parametrize("queue", [agent_queue("b"), agent_control_queue("b"), RESULTS, UPDATES, HEARTBEATS, REQUESTS])
def test_a_reads_no_other_queue(channel: Any, queue: str) -> None:
    refused(channel.basic_get, queue)


@pytest.mark.parametrize("queue", [agent_queue("b"), agent_control_queue("b"), RESULTS])
def test_a_purges_no_other_queue(channel: Any, queue: str) -> None:
    refused(channel.queue_purge, queue)


@pytest.mark.parametrize("exchange", [OPERATIONS, CONTROL])
def test_a_publishes_no_task_and_no_control_request(channel: Any, exchange: str) -> None:
    refused(publish, channel, exchange, "b")


@pytest.mark.parametrize("queue", [agent_queue("a"), agent_queue("b"), RESULTS])
def test_a_publishes_nothing_through_the_default_exchange(channel: Any, queue: str) -> None:
    refused(publish, channel, "", queue)


@pytest.mark.parametrize("queue", ["new", agent_queue("a"), agent_queue("c"), "amq.gen-x"])
def test_a_declares_and_deletes_no_queue(channel: Any, queue: str) -> None:
    refused(channel.queue_declare, queue, durable=True)


@pytest.mark.parametrize("queue", [agent_queue("a"), agent_queue("b"), RESULTS])
def test_a_deletes_no_queue(channel: Any, queue: str) -> None:
    refused(channel.queue_delete, queue)


def test_a_declares_and_deletes_no_exchange(channel: Any) -> None:
    refused(channel.exchange_declare, "new", "topic")


def test_a_deletes_no_exchange(channel: Any) -> None:
    refused(channel.exchange_delete, RESULTS)


@pytest.mark.parametrize("exchange", OWN_EXCHANGES)
def test_a_binds_nothing_to_its_queue(channel: Any, exchange: str) -> None:
    refused(channel.queue_bind, agent_queue("a"), exchange, "#")


@pytest.mark.parametrize("exchange", OWN_EXCHANGES)
@pytest.mark.parametrize("key", ["b.x", "b", "", "ab.x", "x.a.x"])
def test_a_publishes_under_no_other_name(channel: Any, exchange: str, key: str) -> None:
    refused(publish, channel, exchange, key)


def test_a_cannot_say_that_it_is_b(channel: Any) -> None:
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        publish(channel, RESULTS, "a.x", user_id="outrider-agent-b")
    assert "user_id" in str(caught.value)


def test_an_account_ends_with_its_connections_and_queues(
    rabbitmq_vhost: VirtualHost, transport: AmqpTransport, account: AgentAccount, channel: Any
) -> None:
    management = rabbitmq_vhost.management
    wait_until(
        lambda: any(entry.get("user") == account.username for entry in management.connections()),
        20,
        "the broker to list A's connection",
    )
    remove_account(management, transport, "a")
    assert account.username not in management.users()
    assert transport.queue_depth(agent_queue("a")) is None
    with pytest.raises(pika.exceptions.AMQPError):
        channel.queue_declare(agent_queue("a"), passive=True)
    with pytest.raises(pika.exceptions.AMQPError):
        pika.BlockingConnection(pika.URLParameters(account.url(rabbitmq_vhost.url)))
    remove_account(management, transport, "a")


def test_a_new_account_has_a_new_password(
    rabbitmq_vhost: VirtualHost, transport: AmqpTransport, account: AgentAccount
) -> None:
    again = create_account(rabbitmq_vhost.management, transport, "a", vhost=rabbitmq_vhost.name)
    assert again.password != account.password
    assert again.password not in repr(again)


def test_an_account_is_compared_with_the_hosts_password_kept_and_given_the_old_one_back(
    rabbitmq_vhost: VirtualHost, transport: AmqpTransport, account: AgentAccount
) -> None:
    management = rabbitmq_vhost.management
    own = BrokerAccount(management, transport, "a", rabbitmq_vhost.name)
    known = own.known()
    assert known is not None
    assert fits(account.password, known.value, algorithm=known.algorithm)
    assert known.value not in repr(known)
    management.set_permissions(rabbitmq_vhost.name, account.username, Permissions())
    own.keep()
    assert management.permissions(rabbitmq_vhost.name, account.username) == agent_permissions("a")
    assert own.known() == known

    renewed = own.renew()
    assert not fits(account.password, own.known().value, algorithm=known.algorithm)  # type: ignore[union-attr]
    own.restore(known)
    pika.BlockingConnection(pika.URLParameters(account.url(rabbitmq_vhost.url))).close()
    with pytest.raises(pika.exceptions.AMQPError):
        pika.BlockingConnection(pika.URLParameters(renewed.url(rabbitmq_vhost.url)))
    assert management.permissions(rabbitmq_vhost.name, account.username) == agent_permissions("a")
    assert BrokerAccount(management, transport, "nobody", rabbitmq_vhost.name).known() is None


def test_an_agent_that_made_its_password_itself_has_the_same_rights(
    rabbitmq_vhost: VirtualHost, transport: AmqpTransport, account: AgentAccount
) -> None:
    vhost, management = rabbitmq_vhost.name, rabbitmq_vhost.management
    enrol_account(management, transport, "c", vhost=vhost, password_hash=hash_password("own-password"))
    made = AgentAccount("c", account_name("c"), "own-password")

    pika.BlockingConnection(pika.URLParameters(made.url(rabbitmq_vhost.url))).close()
    assert management.permissions(vhost, made.username) == agent_permissions("c")
    assert {each.exchange for each in management.topic_permissions(vhost, made.username)} == set(OWN_EXCHANGES)
    remove_account(management, transport, "c")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", "x" * 101, "a\n"])
def test_a_name_that_would_widen_the_permissions_is_refused(
    rabbitmq_vhost: VirtualHost, transport: AmqpTransport, name: str
) -> None:
    with pytest.raises(AgentNameInvalid):
        create_account(rabbitmq_vhost.management, transport, name, vhost=rabbitmq_vhost.name)


def test_check_names_every_gap_and_setup_closes_them(rabbitmq_vhost: VirtualHost, transport: AmqpTransport) -> None:
    arguments = {"vhost": rabbitmq_vhost.name, "account": rabbitmq_vhost.node.username}
    before = check_broker(rabbitmq_vhost.management, transport, **arguments)
    assert not before.ok
    assert all(gap.remedy for gap in before.gaps)
    assert setup_broker(rabbitmq_vhost.management, transport, **arguments).ok
    assert setup_broker(rabbitmq_vhost.management, transport, **arguments).ok
    assert check_broker(rabbitmq_vhost.management, transport, **arguments).ok


class SetUpMeanwhile(threading.Event):
    """What an agent waits with; in that time its operator does what the agent's log says."""

    def wait(self, timeout: float | None = None) -> bool:
        """Set the broker up."""
        assert timeout is not None
        broker.setup(agents=["web-1"])
        return False


def test_an_agent_that_is_started_by_hand_says_what_makes_its_queues_and_takes_them_up(
    rabbitmq_vhost: VirtualHost,
    transport: AmqpTransport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    monkeypatch.setenv("OUTRIDER_BROKER_URLS", rabbitmq_vhost.url)
    monkeypatch.setenv("OUTRIDER_BROKER_MANAGEMENT_URL", rabbitmq_vhost.node.management_url)
    assert _await_broker(Settings(agent_id="web-1"), transport, ServiceManager(), SetUpMeanwhile())
    (said,) = [record.getMessage() for record in caplog.records if record.name == "outrider.agent"]
    assert agent_queue("web-1") in said
    assert "`outrider broker setup --agent web-1`" in said


@pytest.mark.parametrize("name", ["a.b", "central"])
def test_a_name_that_no_agent_by_hand_may_have_is_refused_before_anything_is_made(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTRIDER_HOME", str(tmp_path))
    monkeypatch.setenv("OUTRIDER_BROKER_URLS", "amqp://nobody@127.0.0.1:1")
    with pytest.raises(typer.Exit) as ended:
        broker.setup(agents=[name])
    assert ended.value.exit_code == 2
    assert repr(name) in capsys.readouterr().err
