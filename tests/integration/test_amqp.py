"""The AMQP transport against a RabbitMQ that dies, refuses, moves, and speaks TLS."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from outrider.messaging.amqp import AmqpSettings, AmqpTransport, TlsOptions
from outrider.messaging.amqp.failures import channel_failure
from outrider.messaging.amqp.management import ManagementClient, Permissions, TopicPermissions
from outrider.messaging.amqp.policies import policies_for
from outrider.messaging.connect import open_transport
from outrider.messaging.errors import ConnectFailed, InvalidSettings, ManagementFailed, TransportError
from outrider.messaging.topology import DEAD, agent_topology, shared_topology
from outrider.messaging.transport import (
    Binding,
    Confirmation,
    Exchange,
    ExchangeKind,
    Outgoing,
    Queue,
    Topology,
)
from tests.support.certificates import make_certificates
from tests.support.ports import free_port
from tests.support.rabbitmq import LARGEST_MESSAGE_BYTES, RabbitNode, VirtualHost, require_rabbitmq
from tests.support.transports import Inbox
from tests.support.waiting import wait_until

WORK = Topology(
    exchanges=(Exchange("direct", ExchangeKind.DIRECT),),
    queues=(Queue("work", quorum=True),),
    bindings=(Binding("direct", "work", "key"),),
)

Open = Callable[..., AmqpTransport]


@pytest.fixture
def open_amqp() -> Iterator[Open]:
    """Return a function that opens transports, which are closed after the test and leave no thread behind."""
    before = set(threading.enumerate())
    opened: list[AmqpTransport] = []

    def open_one(*urls: str, wait: bool = True, **settings: object) -> AmqpTransport:
        options = {"reconnect_first_seconds": 0.05, "reconnect_last_seconds": 0.5, **settings}
        transport = AmqpTransport(AmqpSettings(urls=urls, **options))
        opened.append(transport)
        if wait:
            transport.wait_connected(30)
            wait_until(lambda: transport.connected, 10, "the transport to be ready")
        return transport

    yield open_one
    for transport in opened:
        transport.close()
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert not left, f"threads left behind: {left}"


def to_work(body: bytes = b"body") -> Outgoing:
    return Outgoing("direct", "key", body, mandatory=True)


# --- the broker dies ---


@pytest.mark.slow
def test_no_confirmed_message_is_lost_when_the_broker_is_killed_while_publishing(
    rabbitmq: RabbitNode, rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    publisher, consumer_side = open_amqp(rabbitmq_vhost.url), open_amqp(rabbitmq_vhost.url)
    publisher.declare(WORK)
    received: set[bytes] = set()

    def take(delivery: object) -> None:
        received.add(delivery.body)
        delivery.ack()

    consumer = consumer_side.consume("work", take, prefetch=50)
    outcomes: dict[bytes, Confirmation] = {}
    stop = threading.Event()

    def publish() -> None:
        """Publish a window of messages at a time; what is unknown is published again, as Outrider's spool does."""
        number = 0
        while not stop.is_set():
            window = [b"%d" % (number + offset) for offset in range(20)]
            futures = {body: publisher.publish(to_work(body)) for body in window}
            outcomes.update({body: future.result(60) for body, future in futures.items()})
            number += 20
            if Confirmation.UNKNOWN in outcomes.values():
                stop.wait(0.05)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        wait_until(lambda: len(received) > 200, 30, "messages to flow")
        rabbitmq.kill()
        wait_until(lambda: Confirmation.UNKNOWN in outcomes.values(), 30, "unknown messages to be reported")
        wait_until(lambda: not publisher.connected and not consumer.alive, 30, "the loss to be noticed")
        rabbitmq.start()
        wait_until(lambda: publisher.connected and consumer.alive, 60, "both to come back")
        count = len(received)
        wait_until(lambda: len(received) > count + 200, 60, "messages to flow again")
    finally:
        stop.set()
        thread.join(60)
    confirmed = {body for body, outcome in outcomes.items() if outcome is Confirmation.CONFIRMED}
    wait_until(lambda: confirmed <= received, 30, "every confirmed message to arrive")
    assert set(outcomes.values()) <= {Confirmation.CONFIRMED, Confirmation.UNKNOWN}


@pytest.mark.slow
def test_while_the_broker_is_away_nothing_hangs_and_requests_say_why(
    rabbitmq: RabbitNode, rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    transport = open_amqp(rabbitmq_vhost.url, request_timeout_seconds=0.5)
    transport.declare(WORK)
    rabbitmq.kill()
    wait_until(lambda: not transport.connected, 20, "the loss to be noticed")
    assert transport.publish(to_work()).result(5) is Confirmation.UNKNOWN
    with pytest.raises(ConnectFailed, match=rf"amqp://admin@127\.0\.0\.1:{rabbitmq.port}"):
        transport.declare(WORK)
    inbox = Inbox()
    consumers = [transport.consume("work", inbox, prefetch=1, dedicated=dedicated) for dedicated in (False, True)]
    assert not any(consumer.alive for consumer in consumers)
    rabbitmq.start()
    wait_until(lambda: all(consumer.alive for consumer in consumers), 60, "the consumers to be served")
    wait_until(lambda: transport.connected, 60, "the transport to come back")
    assert transport.publish(to_work()).result(10) is Confirmation.CONFIRMED
    inbox.wait_for(1)


def test_a_broker_that_is_away_at_the_start_is_waited_for(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    """A relay stands for the broker's address: nothing listens there until the test says so."""
    port = free_port()
    url = rabbitmq_vhost.url.replace(f":{rabbitmq_vhost.node.port}/", f":{port}/")
    transport = open_amqp(url, wait=False)
    with pytest.raises(ConnectFailed, match=str(port)):
        transport.wait_connected(0.5)
    relay = Relay(port, rabbitmq_vhost.node.port)
    try:
        wait_until(lambda: transport.connected, 20, "the transport to connect")
    finally:
        transport.close()
        relay.close()


def test_the_second_address_serves_when_the_first_does_not(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    away = f"amqp://user:secret-1@127.0.0.1:{free_port()}/{rabbitmq_vhost.name}"
    transport = open_amqp(away, rabbitmq_vhost.url)
    transport.declare(WORK)
    assert transport.publish(to_work()).result(10) is Confirmation.CONFIRMED


def test_a_transport_moves_to_the_second_address_when_the_first_dies(
    rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    relay = Relay(free_port(), rabbitmq_vhost.node.port)
    first = rabbitmq_vhost.url.replace(f":{rabbitmq_vhost.node.port}/", f":{relay.port}/")
    try:
        transport = open_amqp(first, rabbitmq_vhost.url)
        transport.declare(WORK)
        inbox = Inbox()
        consumer = transport.consume("work", inbox, prefetch=1)
        relay.close()
        wait_until(lambda: not transport.connected, 20, "the loss to be noticed")
        wait_until(lambda: transport.connected and consumer.alive, 20, "the second address to serve")
        transport.publish(to_work(b"over there"))
        assert inbox.wait_for(1)[0].body == b"over there"
    finally:
        relay.close()


def test_closing_keeps_its_time_while_the_broker_is_silent(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    relay = Relay(free_port(), rabbitmq_vhost.node.port)
    url = rabbitmq_vhost.url.replace(f":{rabbitmq_vhost.node.port}/", f":{relay.port}/")
    try:
        transport = open_amqp(url)
        transport.declare(WORK)
        consumer = transport.consume("work", Inbox(), prefetch=1)
        relay.hold()
        under_way = transport.publish(to_work())
        started = time.monotonic()
        transport.close(timeout_seconds=0.5)
        assert time.monotonic() - started < 4.5
        assert under_way.result(0) is Confirmation.UNKNOWN
        assert not consumer.alive
    finally:
        relay.close()


def test_closing_while_nobody_answers_is_no_error(open_amqp: Open, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = open_amqp(f"amqp://u:p@127.0.0.1:{silent.getsockname()[1]}", wait=False)
        with silent.accept()[0], silent.accept()[0]:  # one to publish, one to consume
            transport.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# --- consumers in bad times ---


def test_a_consumer_that_is_cancelled_while_it_starts_takes_nothing(
    rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    transport = open_amqp(rabbitmq_vhost.url)
    transport.declare(WORK)
    early, late = Inbox(), Inbox()
    started: list[object] = []

    def consume() -> None:
        consumer = transport.consume("work", early, prefetch=1)
        transport._consuming.call(consumer.cancel)  # its channel is being opened then
        started.append(consumer)

    transport._consuming.call(consume)
    wait_until(lambda: started, 10, "the consumer to begin")
    started[0].cancel()  # returns when it is done
    assert transport.publish(to_work()).result(10) is Confirmation.CONFIRMED
    transport.consume("work", late, prefetch=1)
    late.wait_for(1)
    assert not early.deliveries


def test_a_consumer_that_began_while_the_broker_was_away_waits_for_its_queue(
    rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    port = free_port()
    transport = open_amqp(rabbitmq_vhost.url.replace(f":{rabbitmq_vhost.node.port}/", f":{port}/"), wait=False)
    inbox = Inbox()
    consumers = [transport.consume("work", inbox, prefetch=1, dedicated=dedicated) for dedicated in (False, True)]
    relay = Relay(port, rabbitmq_vhost.node.port)
    try:
        wait_until(lambda: transport.connected, 20, "the transport to connect")
        for _ in range(5):
            assert transport.queue_depth("work") is None
        open_amqp(rabbitmq_vhost.url).declare(WORK)
        wait_until(lambda: all(consumer.alive for consumer in consumers), 30, "the consumers to be served")
    finally:
        transport.close()
        relay.close()


def test_a_consumer_whose_queue_is_deleted_says_so_and_comes_back_with_it(
    rabbitmq_vhost: VirtualHost, open_amqp: Open, caplog: pytest.LogCaptureFixture
) -> None:
    transport, other = open_amqp(rabbitmq_vhost.url), open_amqp(rabbitmq_vhost.url)
    transport.declare(WORK)
    inbox = Inbox()
    consumer = transport.consume("work", inbox, prefetch=1)
    other.delete_queue("work")
    wait_until(lambda: not consumer.alive, 20, "the deletion to be noticed")
    wait_until(lambda: "its queue was deleted" in caplog.text, 20, "the reason to be told")
    other.declare(WORK)
    wait_until(lambda: consumer.alive, 30, "the consumer to be served again")
    other.publish(to_work())
    inbox.wait_for(1)


def test_a_delivery_that_was_held_too_long_is_not_told_as_a_queue_of_other_arguments() -> None:
    text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms"
    told = channel_failure(ChannelClosedByBroker(406, text), what="consume queue work")
    assert str(told) == f"consume queue work: the broker answered 406 {text}"


def raw_properties(header_value: bytes) -> pika.BasicProperties:
    """Properties with one header, whose value is written as it is."""
    table = b"\x01t" + header_value

    class Raw(pika.BasicProperties):
        def encode(self) -> list[bytes]:
            return [struct.pack(">HI", self.FLAG_HEADERS, len(table)), table]

    return Raw()


UNREADABLE = {
    "a time beyond all years": raw_properties(b"T" + b"\x7f" + b"\xff" * 7),
    "deaths that nobody died": pika.BasicProperties(headers={"x-death": [{"count": "many"}]}),
}


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE)
def test_a_message_that_cannot_be_read_costs_no_other_its_delivery(
    rabbitmq_vhost: VirtualHost, open_amqp: Open, properties: pika.BasicProperties
) -> None:
    transport = open_amqp(rabbitmq_vhost.url)
    transport.declare(WORK)
    changes: list[bool] = []
    transport.on_connection_change(changes.append)
    inbox = Inbox()
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_vhost.url))) as publisher:
        publisher.channel().basic_publish("direct", "key", b"bad", properties)
    transport.publish(to_work(b"good")).result(10)
    transport.consume("work", inbox, prefetch=1)
    wait_until(lambda: b"good" in inbox.bodies, 20, "the message behind it to arrive")
    assert not changes


# --- publishing in bad times ---


def test_a_message_for_a_connection_that_is_just_closing_is_unknown(
    rabbitmq_vhost: VirtualHost, open_amqp: Open
) -> None:
    transport = open_amqp(rabbitmq_vhost.url)
    link = transport._publishing
    link.call(link.connection.close)
    assert transport.publish(to_work()).result(10) is Confirmation.UNKNOWN


def test_a_message_that_the_broker_finds_too_large_holds_up_no_other(
    rabbitmq_vhost: VirtualHost, open_amqp: Open, caplog: pytest.LogCaptureFixture
) -> None:
    transport = open_amqp(rabbitmq_vhost.url)
    transport.declare(WORK)
    large = to_work(b"x" * (LARGEST_MESSAGE_BYTES + 1))
    assert transport.publish(large).result(30) is Confirmation.UNKNOWN
    again, small = transport.publish(large), transport.publish(to_work())
    assert again.result(10) is Confirmation.TOO_LARGE
    assert small.result(10) is Confirmation.CONFIRMED
    assert f"the broker's max_message_size is {LARGEST_MESSAGE_BYTES}" in caplog.text


# --- who may what ---


def test_a_wrong_password_is_told_at_once_and_never_shown(rabbitmq_vhost: VirtualHost) -> None:
    url = rabbitmq_vhost.node.url_of(rabbitmq_vhost.name, password="wrong-secret")
    started = time.monotonic()
    with pytest.raises(ConnectFailed) as caught:
        open_transport(url, connect_within_seconds=30)
    assert "refused the account or its password" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert time.monotonic() - started < 15


def test_a_virtual_host_that_does_not_exist_is_told(rabbitmq: RabbitNode) -> None:
    with pytest.raises(ConnectFailed, match=r"virtual host|NOT_ALLOWED"):
        open_transport(rabbitmq.url_of("nowhere"), connect_within_seconds=30)


def test_the_broker_verifies_the_account_that_a_message_names(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    transport = open_amqp(rabbitmq_vhost.url, user_id=True)
    transport.declare(WORK)
    inbox = Inbox()
    transport.consume("work", inbox, prefetch=1)
    transport.publish(to_work())
    assert inbox.wait_for(1)[0].user_id == rabbitmq_vhost.node.username


def test_an_agents_account_writes_under_its_own_keys_only(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    admin, management = open_amqp(rabbitmq_vhost.url), rabbitmq_vhost.management
    results = Topology(
        exchanges=(Exchange("results", ExchangeKind.TOPIC),),
        queues=(Queue("results"), Queue("other")),
        bindings=(Binding("results", "results", "#"),),
    )
    admin.declare(results)
    user = f"agent-{rabbitmq_vhost.name}"
    management.declare_user(user, "agent-password")
    try:
        management.set_permissions(rabbitmq_vhost.name, user, Permissions("^$", "^results$", "^own$"))
        management.set_topic_permissions(
            rabbitmq_vhost.name, user, TopicPermissions("results", write=r"^web-1\.", read="^$")
        )
        agent = open_amqp(rabbitmq_vhost.node.url_of(rabbitmq_vhost.name, username=user, password="agent-password"))
        agent.check(results)
        own = agent.publish(Outgoing("results", "web-1.a", b"", mandatory=True))
        assert own.result(10) is Confirmation.CONFIRMED
        forged = agent.publish(Outgoing("results", "web-2.a", b"", mandatory=True))
        assert forged.result(10) is Confirmation.UNKNOWN
        with pytest.raises(TransportError, match="lacks a permission"):
            agent.consume("other", Inbox(), prefetch=1)
        with pytest.raises(TransportError, match="lacks a permission"):
            agent.declare(Topology(queues=(Queue("new"),)))
        assert admin.queue_depth("results") == 1
    finally:
        management.delete_user(user)


def test_settings_and_transports_never_show_a_password(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    node = rabbitmq_vhost.node
    transport = open_amqp(rabbitmq_vhost.url, management_url=node.management_url)
    settings = AmqpSettings(urls=(rabbitmq_vhost.url,), management_url=node.management_url)
    shown = [repr(transport), repr(settings), str(settings), repr(settings.addresses), repr(node.management)]
    assert not any(node.password in text for text in shown)


@pytest.mark.parametrize(
    "url", ["http://host", "amqp://", "amqp://u:pa55@host:port/", "nonsense", "u:pa55@host:5672/v"]
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        AmqpSettings(urls=(url,))
    assert "pa55" not in str(caught.value)


# --- the management API ---


def test_policies_carry_what_may_change_later(rabbitmq_vhost: VirtualHost, open_amqp: Open) -> None:
    transport = open_amqp(rabbitmq_vhost.url, management_url=rabbitmq_vhost.node.management_url)
    topologies = [shared_topology(), agent_topology("web-1"), agent_topology("web-2")]
    for topology in topologies:
        transport.declare(topology)
    found = {policy.name: policy for policy in rabbitmq_vhost.management.policies(rabbitmq_vhost.name)}
    assert set(found) == {policy.name for topology in topologies for policy in policies_for(topology)}
    agents = found["outrider.agent.*"]
    assert agents.definition["delivery-limit"] == 100
    assert agents.definition["dead-letter-strategy"] == "at-least-once"
    queues = {queue["name"]: queue for queue in rabbitmq_vhost.management.queues(rabbitmq_vhost.name)}
    assert queues["outrider.agent.web-2"]["type"] == "quorum"
    assert DEAD in queues


def test_a_management_request_that_fails_says_which_and_why(rabbitmq: RabbitNode) -> None:
    wrong = ManagementClient(rabbitmq.management_url.replace(rabbitmq.password, "wrong-secret"))
    with pytest.raises(ManagementFailed, match=r"GET /api/overview at http://admin@.* answered 401") as caught:
        wrong.version()
    assert "wrong-secret" not in str(caught.value)
    with pytest.raises(ManagementFailed, match="is the management plugin enabled"):
        ManagementClient(f"http://u:p@127.0.0.1:{free_port()}").version()
    assert rabbitmq.management.version().startswith(("3.", "4."))


# --- TLS ---


@pytest.mark.slow
def test_tls_checks_the_brokers_certificate(tmp_path: Path) -> None:
    require_rabbitmq()
    pytest.importorskip("cryptography")
    ca_file, certificate, key = make_certificates(tmp_path)
    tls_port = free_port()
    node = RabbitNode(
        extra_config=f"listeners.ssl.1 = 127.0.0.1:{tls_port}\nssl_options.cacertfile = {ca_file}\n"
        f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
    )
    try:
        node.start()
        url = f"amqps://{node.username}:{node.password}@localhost:{tls_port}"
        trusted = TlsOptions(ca_file=str(ca_file))
        transport = open_transport(AmqpSettings(urls=(url,), tls=trusted), connect_within_seconds=20)
        try:
            transport.declare(WORK)
            assert transport.publish(to_work()).result(10) is Confirmation.CONFIRMED
        finally:
            transport.close()
        for tls in (TlsOptions(), TlsOptions(ca_file=str(ca_file), server_name="another.example")):
            with pytest.raises(ConnectFailed, match="certificate verify failed"):
                open_transport(AmqpSettings(urls=(url,), tls=tls), connect_within_seconds=2)
        with pytest.raises(InvalidSettings, match=r"nowhere\.pem"):
            open_transport(AmqpSettings(urls=(url,), tls=TlsOptions(ca_file=str(tmp_path / "nowhere.pem"))))
    finally:
        node.close()


# --- how fast ---


def test_throughput_and_latency(
    rabbitmq_vhost: VirtualHost, open_amqp: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints figures; the bounds are wide, since the machine may be busy."""
    here, there = open_amqp(rabbitmq_vhost.url), open_amqp(rabbitmq_vhost.url)
    here.declare(Topology(queues=(Queue("ping"), Queue("pong"), Queue("bulk", quorum=True))))
    answered = threading.Semaphore(0)
    there.consume(
        "ping", lambda d: (there.publish(Outgoing("", "pong", d.body, persistent=False)), d.ack()), prefetch=9
    )
    here.consume("pong", lambda d: (d.ack(), answered.release()), prefetch=9)
    times = []
    for _ in range(300):
        started = time.perf_counter()
        here.publish(Outgoing("", "ping", b"x" * 2000, persistent=False))
        assert answered.acquire(timeout=10)
        times.append(time.perf_counter() - started)
    started = time.perf_counter()
    futures = [here.publish(Outgoing("", "bulk", b"x" * 2000)) for _ in range(3000)]
    assert {future.result(60) for future in futures} == {Confirmation.CONFIRMED}
    rate = 3000 / (time.perf_counter() - started)
    p50 = sorted(times)[150] * 1000
    with capsys.disabled():
        print(f"\nround trip over two transports p50 {p50:.2f} ms; durable confirmed publishes {rate:.0f}/s")
    assert p50 < 50
    assert rate > 300


class Relay:
    """A TCP relay on another port: an address of the broker that the test can make come and go."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._held = threading.Event()
        self._closed = threading.Event()
        self._start(self._accept)

    def hold(self) -> None:
        """Pass nothing on any more, without a word."""
        self._held.set()

    def close(self) -> None:
        self._closed.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # its other side may be faster
                one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        for one in (self._listener, *self._sockets):
            one.close()

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [client, server]
            self._start(self._pump, client, server)
            self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self._held.is_set():
                    self._closed.wait()
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed by either side
