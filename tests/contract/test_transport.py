"""What every transport does: one suite, run on the embedded one and on RabbitMQ."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from outrider.messaging.codec import encode
from outrider.messaging.delivery import decode_or_reject
from outrider.messaging.errors import TopologyMismatch, TransportClosed
from outrider.messaging.topology import OPERATIONS, agent_queue, agent_topology, dispatcher_topology
from outrider.messaging.topology import shared_topology as outrider_topology
from outrider.messaging.transport import (
    Binding,
    Confirmation,
    DeadLetter,
    Exchange,
    ExchangeKind,
    Outgoing,
    Queue,
    Topology,
    Transport,
)
from tests.support.messages import operation_task
from tests.support.transports import Bench, Inbox, bench  # noqa: F401 - `bench` is a fixture
from tests.support.waiting import wait_until

WORK = Queue("work", quorum=True, dead_letter_exchange="dead")
BASE = Topology(
    exchanges=(Exchange("dead", ExchangeKind.FANOUT), Exchange("direct", ExchangeKind.DIRECT)),
    queues=(Queue("dead"), WORK),
    bindings=(Binding("dead", "dead", "#"), Binding("direct", "work", "key")),
)


def to_work(body: bytes = b"body", **options: object) -> Outgoing:
    return Outgoing("direct", "key", body, mandatory=True, **options)


def confirm(transport: Transport, message: Outgoing) -> Confirmation:
    return transport.publish(message).result(10)


def depth_is(transport: Transport, queue: str, count: int) -> None:
    wait_until(lambda: transport.queue_depth(queue) == count, 20, f"{count} messages in queue {queue}")


@pytest.fixture
def transport(bench: Bench) -> Transport:  # noqa: F811
    one = bench.transport()
    one.declare(BASE)
    return one


# --- declaring ---


def test_declaring_the_same_again_is_fine(transport: Transport) -> None:
    transport.declare(BASE)
    transport.check(BASE)


def test_a_queue_that_exists_with_other_arguments_is_refused_by_name(transport: Transport) -> None:
    with pytest.raises(TopologyMismatch, match="work"):
        transport.declare(Topology(queues=(Queue("work", quorum=True, single_active_consumer=True),)))


def test_an_exchange_that_exists_with_another_kind_is_refused_by_name(transport: Transport) -> None:
    with pytest.raises(TopologyMismatch, match="direct"):
        transport.declare(Topology(exchanges=(Exchange("direct", ExchangeKind.TOPIC),)))


def test_what_may_change_later_can_be_declared_anew(transport: Transport) -> None:
    transport.declare(Topology(queues=(Queue("work", quorum=True, dead_letter_exchange="dead", max_length=5),)))


def test_a_check_names_everything_that_is_missing(transport: Transport) -> None:
    wanted = Topology(
        exchanges=(*BASE.exchanges, Exchange("no-exchange", ExchangeKind.TOPIC)),
        queues=(WORK, Queue("no-queue-1"), Queue("no-queue-2")),
    )
    with pytest.raises(TopologyMismatch, match="exchange no-exchange, queue no-queue-1, queue no-queue-2"):
        transport.check(wanted)


def test_a_binding_without_its_queue_is_refused(transport: Transport) -> None:
    with pytest.raises(TopologyMismatch, match="nowhere"):
        transport.declare(Topology(bindings=(Binding("direct", "nowhere", "key"),)))


def test_a_deleted_queue_is_gone_and_deleting_it_again_is_fine(transport: Transport) -> None:
    transport.delete_queue("work")
    transport.delete_queue("work")
    assert transport.queue_depth("work") is None
    assert confirm(transport, to_work()) is Confirmation.RETURNED


def test_the_whole_topology_of_an_installation_can_be_declared_and_checked(bench: Bench) -> None:  # noqa: F811
    transport = bench.transport()
    for topology in (outrider_topology(), agent_topology("web-1"), dispatcher_topology("d-1")):
        transport.declare(topology)
        transport.declare(topology)
        transport.check(topology)
    inbox = Inbox()
    transport.consume(agent_queue("web-1"), inbox, prefetch=10)
    assert confirm(transport, Outgoing(OPERATIONS, "web-1", b"task", mandatory=True)) is Confirmation.CONFIRMED
    assert confirm(transport, Outgoing(OPERATIONS, "web-2", b"task", mandatory=True)) is Confirmation.RETURNED
    assert inbox.wait_for(1)[0].body == b"task"


# --- publishing ---


def test_a_published_message_is_confirmed_and_waits_in_its_queue(transport: Transport) -> None:
    assert confirm(transport, to_work()) is Confirmation.CONFIRMED
    depth_is(transport, "work", 1)


def test_a_message_without_a_queue_is_returned_if_that_was_asked_for(transport: Transport) -> None:
    futures = [transport.publish(Outgoing("direct", key, b"", mandatory=True)) for key in ("key", "no", "key", "no")]
    expected = [Confirmation.CONFIRMED, Confirmation.RETURNED] * 2
    assert [future.result(10) for future in futures] == expected
    assert confirm(transport, Outgoing("direct", "no", b"")) is Confirmation.CONFIRMED


def test_an_exchange_that_does_not_exist_leaves_the_message_unknown_and_the_transport_works_on(
    transport: Transport,
) -> None:
    assert confirm(transport, Outgoing("no-exchange", "key", b"")) is Confirmation.UNKNOWN
    assert confirm(transport, to_work()) is Confirmation.CONFIRMED


def test_a_full_queue_that_rejects_nacks_the_publisher(transport: Transport) -> None:
    full = Queue("small", max_length=2, overflow="reject-publish")
    transport.declare(Topology(queues=(full,), bindings=(Binding("direct", "small", "small"),)))
    outcomes = [confirm(transport, Outgoing("direct", "small", b"%d" % number)) for number in range(4)]
    assert outcomes == [Confirmation.CONFIRMED] * 2 + [Confirmation.NACKED] * 2
    depth_is(transport, "small", 2)


def test_a_full_queue_that_drops_keeps_the_newest_and_dead_letters_the_oldest(transport: Transport) -> None:
    short = Queue("short", max_length=2, overflow="drop-head", dead_letter_exchange="dead")
    transport.declare(Topology(queues=(short,), bindings=(Binding("direct", "short", "short"),)))
    for number in range(3):
        assert confirm(transport, Outgoing("direct", "short", b"%d" % number)) is Confirmation.CONFIRMED
    dead, kept = Inbox(), Inbox()
    transport.consume("dead", dead, prefetch=10)
    assert dead.wait_for(1)[0].dead_letter == DeadLetter("short", "maxlen")
    transport.consume("short", kept, prefetch=10)
    kept.wait_for(2)
    assert (dead.bodies, kept.bodies) == ([b"0"], [b"1", b"2"])


def test_everything_that_a_message_carries_arrives(transport: Transport) -> None:
    inbox = Inbox()
    transport.consume("work", inbox, prefetch=10)
    transport.publish(to_work(b"\x00\xffbody", message_id="id-1", headers={"one": 1, "two": "zwei"}))
    delivery = inbox.wait_for(1)[0]
    assert (delivery.body, delivery.exchange, delivery.routing_key) == (b"\x00\xffbody", "direct", "key")
    assert (delivery.message_id, dict(delivery.headers)) == ("id-1", {"one": 1, "two": "zwei"})
    assert (delivery.redelivered, delivery.dead_letter) == (False, None)


def test_topic_patterns_select_by_word(transport: Transport) -> None:
    topic = Exchange("topic", ExchangeKind.TOPIC)
    patterns = {"one": "*.x", "many": "a.#", "all": "#", "middle": "a.#.z"}
    transport.declare(
        Topology(
            exchanges=(topic,),
            queues=tuple(Queue(name) for name in patterns),
            bindings=tuple(Binding("topic", name, pattern) for name, pattern in patterns.items()),
        )
    )
    for key in ("a.x", "a", "b.c.x", "a.z", "a.b.c.z", "ab.z"):
        assert confirm(transport, Outgoing("topic", key, key.encode())) is Confirmation.CONFIRMED
    found = {}
    for name in patterns:
        inbox = found[name] = Inbox()
        transport.consume(name, inbox, prefetch=50)
    found["all"].wait_for(6)
    found["many"].wait_for(4)
    found["middle"].wait_for(2)
    found["one"].wait_for(1)
    assert found["one"].bodies == [b"a.x"]
    assert found["many"].bodies == [b"a.x", b"a", b"a.z", b"a.b.c.z"]
    assert found["middle"].bodies == [b"a.z", b"a.b.c.z"]


# --- consuming ---


def test_messages_of_one_lane_arrive_in_the_order_of_publishing(transport: Transport) -> None:
    inbox = Inbox()
    transport.consume("work", inbox, prefetch=50)
    futures = [transport.publish(to_work(b"%d" % number)) for number in range(500)]
    assert {future.result(20) for future in futures} == {Confirmation.CONFIRMED}
    inbox.wait_for(500)
    assert inbox.bodies == [b"%d" % number for number in range(500)]


def test_lanes_are_independent(transport: Transport) -> None:
    results = [transport.publish(to_work(b"", lane=lane)) for lane in ("results", "logs") for _ in range(50)]
    assert {future.result(20) for future in results} == {Confirmation.CONFIRMED}
    depth_is(transport, "work", 100)


def test_no_more_than_the_prefetch_is_unsettled(transport: Transport) -> None:
    held = Inbox(settle=None)
    transport.consume("work", held, prefetch=3)
    for future in [transport.publish(to_work(b"%d" % number)) for number in range(5)]:
        future.result(10)
    held.wait_for(3)
    depth_is(transport, "work", 2)
    held.deliveries[0].ack()
    held.wait_for(4)
    depth_is(transport, "work", 1)
    assert held.bodies == [b"0", b"1", b"2", b"3"]


def test_a_message_given_back_comes_again_and_says_so(transport: Transport) -> None:
    held = Inbox(settle=None)
    transport.consume("work", held, prefetch=1)
    transport.publish(to_work())
    first = held.wait_for(1)[0]
    first.requeue()
    second = held.wait_for(2)[1]
    assert (first.redelivered, second.redelivered) == (False, True)
    second.ack()
    depth_is(transport, "work", 0)


def test_settling_twice_is_settling_once(transport: Transport) -> None:
    held = Inbox(settle=None)
    consumer = transport.consume("work", held, prefetch=1)
    transport.publish(to_work(b"1"))
    transport.publish(to_work(b"2"))
    first = held.wait_for(1)[0]
    first.ack()
    first.ack()
    first.requeue()
    held.wait_for(2)[1].ack()
    depth_is(transport, "work", 0)
    assert consumer.alive


def test_a_rejected_message_becomes_a_dead_letter_that_names_queue_and_reason(transport: Transport) -> None:
    reported: list[str] = []
    transport.on_rejection(lambda delivery, reason: reported.append(f"{delivery.routing_key}: {reason}"))
    dead = Inbox()
    transport.consume("dead", dead, prefetch=1)
    transport.consume("work", lambda delivery: delivery.reject("unreadable"), prefetch=1)
    transport.publish(to_work(b"bad"))
    letter = dead.wait_for(1)[0]
    assert (letter.body, letter.dead_letter) == (b"bad", DeadLetter("work", "rejected"))
    assert reported == ["key: unreadable"]
    depth_is(transport, "work", 0)


def test_a_handler_that_raises_does_not_lose_its_message_nor_end_the_consumer(transport: Transport) -> None:
    def handle(delivery: object) -> None:
        if delivery.body == b"bad":
            raise RuntimeError("defect")
        good(delivery)

    good, dead = Inbox(), Inbox()
    transport.consume("dead", dead, prefetch=1)
    transport.consume("work", handle, prefetch=1)
    transport.publish(to_work(b"bad"))
    transport.publish(to_work(b"good"))
    assert good.wait_for(1)[0].body == b"good"
    assert dead.wait_for(1)[0].dead_letter == DeadLetter("work", "rejected")


def test_what_does_not_decode_is_rejected_with_its_reason(transport: Transport) -> None:
    reported: list[str] = []
    decoded: list[object] = []
    dead = Inbox()

    def handle(delivery: object) -> None:
        message = decode_or_reject(delivery)
        if message is not None:
            decoded.append(message)
            delivery.ack()

    transport.on_rejection(lambda _, reason: reported.append(reason))
    transport.consume("dead", dead, prefetch=1)
    transport.consume("work", handle, prefetch=1)
    transport.publish(to_work(b'{"type": "Nonsense", "version": 1}'))
    transport.publish(to_work(encode(operation_task())))
    wait_until(lambda: decoded, 10, "the good message")
    assert decoded == [operation_task()]
    assert dead.wait_for(1)[0].dead_letter == DeadLetter("work", "rejected")
    assert len(reported) == 1
    assert "'Nonsense'" in reported[0]


def test_a_message_that_is_not_taken_in_time_becomes_a_dead_letter(transport: Transport) -> None:
    dead = Inbox()
    transport.consume("dead", dead, prefetch=1)
    assert confirm(transport, to_work(b"late", expires_seconds=0.1)) is Confirmation.CONFIRMED
    letter = dead.wait_for(1)[0]
    assert (letter.body, letter.dead_letter) == (b"late", DeadLetter("work", "expired"))
    depth_is(transport, "work", 0)


def test_a_queue_with_a_lifetime_drops_what_is_older(transport: Transport) -> None:
    brief = Queue("brief", message_ttl_seconds=0.1, max_length=10, overflow="drop-head")
    transport.declare(Topology(queues=(brief,), bindings=(Binding("direct", "brief", "brief"),)))
    confirm(transport, Outgoing("direct", "brief", b"old"))
    depth_is(transport, "brief", 0)


def test_a_message_given_back_too_often_becomes_a_dead_letter(transport: Transport) -> None:
    limited = Queue("limited", quorum=True, dead_letter_exchange="dead", delivery_limit=2)
    transport.declare(Topology(queues=(limited,), bindings=(Binding("direct", "limited", "limited"),)))
    dead, again = Inbox(), Inbox(settle="requeue")
    transport.consume("dead", dead, prefetch=1)
    transport.consume("limited", again, prefetch=1)
    transport.publish(Outgoing("direct", "limited", b"poison"))
    assert dead.wait_for(1)[0].dead_letter == DeadLetter("limited", "delivery_limit")
    assert len(again.bodies) == 3


def test_of_several_consumers_a_single_active_one_gets_everything_until_it_goes(bench: Bench) -> None:  # noqa: F811
    first_party, second_party = bench.transport(), bench.transport()
    single = Topology(queues=(Queue("single", quorum=True, single_active_consumer=True),))
    first_party.declare(single)
    first, second = Inbox(), Inbox()
    active = first_party.consume("single", first, prefetch=1)
    second_party.consume("single", second, prefetch=1)
    for number in range(3):
        confirm(first_party, Outgoing("", "single", b"%d" % number))
    first.wait_for(3)
    active.cancel()
    confirm(first_party, Outgoing("", "single", b"3"))
    second.wait_for(1)
    assert (first.bodies, second.bodies) == ([b"0", b"1", b"2"], [b"3"])


def test_several_consumers_share_a_queue(bench: Bench) -> None:  # noqa: F811
    first_party, second_party = bench.transport(), bench.transport()
    first_party.declare(BASE)
    first, second = Inbox(settle=None), Inbox(settle=None)
    first_party.consume("work", first, prefetch=1)
    second_party.consume("work", second, prefetch=1)
    confirm(first_party, to_work(b"a"))
    confirm(first_party, to_work(b"b"))
    first.wait_for(1)
    second.wait_for(1)


def test_an_exclusive_queue_is_its_transports_own_and_goes_with_it(bench: Bench) -> None:  # noqa: F811
    owner, other = bench.transport(), bench.transport()
    owner.declare(Topology(queues=(Queue("own", exclusive=True),)))
    with pytest.raises(TopologyMismatch, match="own"):
        other.declare(Topology(queues=(Queue("own", exclusive=True),)))
    with pytest.raises(TopologyMismatch, match="own"):
        other.consume("own", Inbox(), prefetch=1)
    inbox = Inbox()
    owner.consume("own", inbox, prefetch=1)
    other.publish(Outgoing("", "own", b"hello"))
    inbox.wait_for(1)
    owner.close()
    wait_until(lambda: other.queue_depth("own") is None, 10, "the exclusive queue to go")


def test_a_consumer_of_a_queue_that_does_not_exist_is_refused(transport: Transport) -> None:
    for dedicated in (False, True):
        with pytest.raises(TopologyMismatch, match="nowhere"):
            transport.consume("nowhere", Inbox(), prefetch=1, dedicated=dedicated)


def test_a_cancelled_consumer_takes_nothing_more_but_settles_what_it_has(transport: Transport) -> None:
    held = Inbox(settle=None)
    consumer = transport.consume("work", held, prefetch=1)
    assert consumer.alive
    transport.publish(to_work(b"1"))
    delivery = held.wait_for(1)[0]
    consumer.cancel()
    assert not consumer.alive
    delivery.ack()
    confirm(transport, to_work(b"2"))
    depth_is(transport, "work", 1)
    assert held.bodies == [b"1"]


def test_a_cancelled_consumer_can_be_replaced_many_times(transport: Transport) -> None:
    for number in range(20):
        inbox = Inbox()
        consumer = transport.consume("work", inbox, prefetch=1)
        transport.publish(to_work(b"%d" % number))
        inbox.wait_for(1)
        consumer.cancel()


def test_a_consumer_may_cancel_itself_from_its_handler(transport: Transport) -> None:
    cancelled = threading.Event()

    def handle(delivery: object) -> None:
        delivery.ack()
        consumer.cancel()
        cancelled.set()

    consumer = transport.consume("work", handle, prefetch=1)
    transport.publish(to_work())
    assert cancelled.wait(10)
    wait_until(lambda: not consumer.alive, 10, "the consumer to end")


def test_a_dedicated_consumer_works_while_another_handler_is_stuck(transport: Transport) -> None:
    transport.declare(Topology(queues=(Queue("control"),)))
    release, control = threading.Event(), Inbox()
    transport.consume("work", lambda delivery: (release.wait(20), delivery.ack()), prefetch=1)
    transport.consume("control", control, prefetch=1, dedicated=True)
    transport.publish(to_work())
    transport.publish(Outgoing("", "control", b"ping"))
    try:
        control.wait_for(1)
    finally:
        release.set()


# --- losing the connection, closing, threads ---


def test_after_a_lost_connection_consumers_exclusive_queues_and_listeners_go_on(bench: Bench) -> None:  # noqa: F811
    transport = bench.transport()
    transport.declare(BASE)
    transport.declare(Topology(queues=(Queue("own", exclusive=True),), bindings=(Binding("direct", "own", "own"),)))
    changes: list[bool] = []
    transport.on_connection_change(changes.append)
    held, own = Inbox(settle=None), Inbox()
    work_consumer = transport.consume("work", held, prefetch=1)
    own_consumer = transport.consume("own", own, prefetch=1)
    transport.publish(to_work(b"unsettled"))
    before = held.wait_for(1)[0]
    bench.interrupt()
    wait_until(lambda: changes[:1] == [False], 20, "the loss to be noticed")
    bench.restore()
    wait_until(lambda: changes[-1] is True, 20, "the return to be noticed")
    wait_until(lambda: work_consumer.alive and own_consumer.alive, 20, "the consumers to go on")
    after = held.wait_for(2)[1]
    assert (after.body, after.redelivered) == (b"unsettled", True)
    before.ack()  # of the old connection: settles nothing
    assert confirm(transport, Outgoing("direct", "own", b"still mine", mandatory=True)) is Confirmation.CONFIRMED
    own.wait_for(1)
    after.ack()
    depth_is(transport, "work", 0)
    assert len(held.deliveries) == 2


def test_a_return_brings_back_all_that_it_can_and_nothing_that_was_deleted(bench: Bench) -> None:  # noqa: F811
    transport, other = bench.transport(), bench.transport()
    transport.declare(BASE)
    transport.declare(Topology(queues=(Queue("odd"),)))
    transport.declare(Topology(queues=(Queue("own", exclusive=True),)))
    transport.declare(Topology(queues=(Queue("gone"),), bindings=(Binding("direct", "gone", "gone"),)))
    changes: list[bool] = []
    transport.on_connection_change(changes.append)
    consumer = transport.consume("own", Inbox(), prefetch=1)
    transport.delete_queue("gone")
    other.delete_queue("odd")
    other.declare(Topology(queues=(Queue("odd", quorum=True),)))
    bench.interrupt()
    wait_until(lambda: changes[:1] == [False], 20, "the loss to be noticed")
    bench.restore()
    wait_until(lambda: consumer.alive, 20, "the consumer of what comes after the odd one to be served again")
    wait_until(lambda: changes[-1] is True, 20, "the return to be noticed")
    assert confirm(transport, Outgoing("direct", "gone", b"", mandatory=True)) is Confirmation.RETURNED


def test_a_closed_transport_refuses_everything_and_gives_back_what_was_not_settled(bench: Bench) -> None:  # noqa: F811
    leaving, staying = bench.transport(), bench.transport()
    leaving.declare(BASE)
    held = Inbox(settle=None)
    leaving.consume("work", held, prefetch=5)
    confirm(leaving, to_work())
    held.wait_for(1)
    leaving.close()
    leaving.close()
    depth_is(staying, "work", 1)
    assert not leaving.connected
    with pytest.raises(TransportClosed):
        leaving.publish(to_work()).result(10)
    refused: list[Callable[[], object]] = [
        lambda: leaving.declare(BASE),
        lambda: leaving.check(BASE),
        lambda: leaving.queue_depth("work"),
        lambda: leaving.consume("work", held, prefetch=1),
    ]
    for call in refused:
        with pytest.raises(TransportClosed):
            call()
    held.deliveries[0].ack()  # does nothing


def test_only_what_was_not_settled_comes_back_in_whatever_order_the_rest_was(bench: Bench) -> None:  # noqa: F811
    leaving, staying = bench.transport(), bench.transport()
    leaving.declare(BASE)
    held = Inbox(settle=None)
    leaving.consume("work", held, prefetch=20)
    for future in [leaving.publish(to_work(b"%d" % number)) for number in range(12)]:
        future.result(10)
    deliveries = held.wait_for(12)
    for number in (1, 3, 0, 5, 2, 11, 6, 9, 8):
        deliveries[number].ack()
    deliveries[4].reject("unreadable")
    leaving.close()
    rest = Inbox()
    staying.consume("work", rest, prefetch=20)
    rest.wait_for(2)
    depth_is(staying, "work", 0)
    assert sorted(rest.bodies) == [b"10", b"7"]


def test_closing_ends_every_future(bench: Bench) -> None:  # noqa: F811
    transport = bench.transport()
    transport.declare(BASE)
    futures = [transport.publish(to_work(b"%d" % number)) for number in range(200)]
    transport.close()
    assert {future.result(10) for future in futures} <= {Confirmation.CONFIRMED, Confirmation.UNKNOWN}


def test_many_threads_publish_and_settle_at_once(transport: Transport) -> None:
    seen: set[bytes] = set()
    done = threading.Event()
    waiting: list[object] = []
    lock = threading.Lock()

    def handle(delivery: object) -> None:
        with lock:
            waiting.append(delivery)

    def settle() -> None:
        while not done.is_set() or waiting:
            with lock:
                delivery = waiting.pop() if waiting else None
            if delivery is None:
                done.wait(0.005)
                continue
            delivery.ack()
            with lock:
                seen.add(delivery.body)

    def publish(thread: int) -> None:
        futures = [transport.publish(to_work(b"%d-%d" % (thread, number))) for number in range(100)]
        assert {future.result(30) for future in futures} == {Confirmation.CONFIRMED}

    transport.consume("work", handle, prefetch=40)
    settlers = [threading.Thread(target=settle) for _ in range(3)]
    publishers = [threading.Thread(target=publish, args=(number,)) for number in range(5)]
    for thread in (*settlers, *publishers):
        thread.start()
    for thread in publishers:
        thread.join(60)
    try:
        wait_until(lambda: len(seen) == 500, 30, "all messages to be settled")
    finally:
        done.set()
        for thread in settlers:
            thread.join(10)
    depth_is(transport, "work", 0)
