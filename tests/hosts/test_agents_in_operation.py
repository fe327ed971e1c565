"""An agent on a real host, in operation: upgraded while it works, cut off, killed by the watchdog, short of memory."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from outrider.cli.agent_upgrade import AgentUpgrade, NotUpgraded, Upgrading
from outrider.installer import Bundle
from outrider.messaging.messages import ControlKind
from tests.support.agent_bundles import BROKEN, variant
from tests.support.installing import service_pid
from tests.support.operated import AGENT, MEMORY_LIMIT_MIB, SLOTS, Operated
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

#: `make faults` sets it to ``all``.
WHOLE = os.environ.get("OUTRIDER_FAULTS") == "all"
#: The least is what it takes to give a silent connection up (heartbeats every 15 s), and then some.
CUT_SECONDS = 60 if WHOLE else 20
SHORT_OPERATIONS = 200
LEDGER = "/var/tmp/ledger"


def waiting_script(name: str) -> str:
    """Return a script that says that it runs, and waits for a file."""
    return f"touch /var/tmp/{name}.runs; until test -e /var/tmp/{name}.go; do sleep 0.1; done; echo done"


def test_the_agent_speaks_tls_with_the_operators_authority_and_has_its_variables(operated: Operated) -> None:
    configuration = operated.host.read("/etc/outrider/agent.toml")
    assert 'broker_urls = ["amqps://' in configuration
    assert 'broker_ca_file = "/etc/outrider/broker-ca.pem"' in configuration
    (done,) = operated.start("echo $WORD")
    assert operated.ended([done]) == ["terminated"]
    wait_until(lambda: operated.lines_of(done) == ["deep"], 30, "the line to be stored")


def test_an_operation_killed_for_memory_says_so_and_takes_nothing_along(operated: Operated) -> None:
    pid = service_pid(operated.host)
    neighbour, greedy = operated.start(
        waiting_script("neighbour"), f"exec python3 -c 'held = bytearray({3 * MEMORY_LIMIT_MIB} << 20)'"
    )
    assert operated.ended([greedy]) == ["failed"]
    assert f"{MEMORY_LIMIT_MIB} MiB" in operated.error_of(greedy) or "137" in operated.error_of(greedy)
    operated.host.run("touch /var/tmp/neighbour.go")
    assert operated.ended([neighbour]) == ["terminated"]
    assert service_pid(operated.host) == pid


def test_the_watchdog_replaces_an_agent_that_hangs_and_its_operation_goes_on(operated: Operated) -> None:
    host = operated.host
    host.run(
        "mkdir -p /etc/systemd/system/outrider-agent.service.d && printf '[Service]\\nWatchdogSec=3\\n' > "
        "/etc/systemd/system/outrider-agent.service.d/test.conf && systemctl daemon-reload && "
        "systemctl restart outrider-agent"
    )
    pid = service_pid(host)
    (running,) = operated.start(waiting_script("watched"))
    wait_until(lambda: host.exists("/var/tmp/watched.runs"), 30, "the operation to run")
    host.run(f"kill -STOP {pid}")
    wait_until(lambda: service_pid(host) not in (0, pid), 60, "the watchdog to replace the agent")
    assert "watchdog" in host.ask("journalctl -u outrider-agent --no-pager -n 50").lower()
    host.run("touch /var/tmp/watched.go; rm -r /etc/systemd/system/outrider-agent.service.d; systemctl daemon-reload")
    assert operated.ended([running]) == ["terminated"]
    assert operated.attempts_of(running) == 1
    assert operated.lines_of(running) == ["done"]


def test_nothing_is_lost_when_the_agent_is_killed(operated: Operated) -> None:
    host, pid = operated.host, service_pid(operated.host)
    running = operated.start(*[waiting_script(f"killed{number}") for number in range(2)])
    wait_until(lambda: host.exists("/var/tmp/killed1.runs"), 30, "the operations to run")
    # More than there are slots, so that some are in the journal, and some in the queue.
    waiting = operated.start(*[f"echo {number}; sleep 0.1" for number in range(2 * SLOTS)])
    host.run(f"kill -9 {pid}; touch /var/tmp/killed0.go /var/tmp/killed1.go")
    assert operated.ended([*running, *waiting]) == ["terminated"] * (2 + 2 * SLOTS)
    assert {operated.attempts_of(each) for each in [*running, *waiting]} == {1}
    assert service_pid(host) not in (0, pid)


def test_after_a_reboot_the_agent_finishes_what_was_queued(operated: Operated) -> None:
    # Draining, it leaves in its queue what comes; that does not outlive the reboot.
    operated.questions.ask(AGENT, ControlKind.DRAIN)
    queued = operated.start(*[f"echo {number}" for number in range(5)])
    operated.host.reboot()
    assert operated.ended(queued) == ["terminated"] * 5
    assert {operated.attempts_of(each) for each in queued} == {1}


def test_an_agent_starts_itself_anew_while_operations_run(operated: Operated) -> None:
    host, pid = operated.host, service_pid(operated.host)
    (running,) = operated.start(waiting_script("anew"))
    wait_until(lambda: host.exists("/var/tmp/anew.runs"), 30, "the operation to run")
    anew = operated.start_own("cloudify_agent.operations.restart")
    assert operated.ended([anew]) == ["terminated"], operated.error_of(anew)
    wait_until(lambda: service_pid(host) not in (0, pid), 30, "another process of the agent")
    host.run("touch /var/tmp/anew.go")
    assert operated.ended([running]) == ["terminated"]
    assert [operated.attempts_of(each) for each in (running, anew)] == [1, 1]


def test_results_and_logs_of_ten_operations_arrive_once_and_in_order_after_the_network_was_cut(
    operated: Operated,
) -> None:
    # Most lines are printed, and all operations end, while nobody hears of it.
    script = f"for i in $(seq 1 60); do echo line $i; sleep {CUT_SECONDS / 80}; done"
    started = operated.start(*[script] * 10)
    wait_until(lambda: all(operated.lines_of(each) for each in started), 60, "lines of all ten operations")
    assert not any(operated.local.dispatcher.execution(each.id).ended for each in started)
    operated.host.cut_network()
    began, over = time.monotonic(), threading.Event()
    threading.Timer(CUT_SECONDS, over.set).start()
    try:
        assert over.wait(CUT_SECONDS + 10)
        assert not any(operated.local.dispatcher.execution(each.id).ended for each in started)
    finally:
        operated.host.restore_network()
    cut = time.monotonic() - began
    assert operated.ended(started, within_seconds=120) == ["terminated"] * 10
    expected = [f"line {number}" for number in range(1, 61)]
    for each in started:
        wait_until(lambda each=each: len(operated.lines_of(each)) >= 60, 30, "all lines to be stored")
        assert operated.lines_of(each) == expected
        assert operated.attempts_of(each) == 1
    print(f"network cut for {cut:.0f} s: 10 operations, {10 * len(expected)} lines, once and in order")


def test_an_upgrade_during_one_long_and_many_short_operations_loses_doubles_and_fails_none(
    operated: Operated, tmp_path: Path
) -> None:
    host, before = operated.host, operated.running_version()
    pid = service_pid(host)
    bundle = variant(operated.bundle, tmp_path, version="9.0.0")
    # A minute for certain, or, in the sample, for as long as all the others take.
    lasting = "sleep 60; echo done" if WHOLE else waiting_script("long")
    began = time.monotonic()
    (long,) = operated.start(f"touch /var/tmp/long.begun; {lasting}")
    wait_until(lambda: host.exists("/var/tmp/long.begun"), 30, "the long operation to run")
    short = operated.start(*[f"echo {number} >> {LEDGER}; sleep 0.2" for number in range(SHORT_OPERATIONS)])
    done = upgrade(operated, bundle)
    upgraded = time.monotonic() - began
    assert (done.before, done.version, done.changed) == (before, "9.0.0", True)
    assert operated.running_version() == "9.0.0"
    assert service_pid(host) not in (0, pid)
    assert not operated.local.dispatcher.execution(long.id).ended
    endings = Counter(operated.ended(short, within_seconds=180))
    assert endings == {"terminated": SHORT_OPERATIONS}
    host.run("touch /var/tmp/long.go")
    assert operated.ended([long]) == ["terminated"]
    took = time.monotonic() - began
    assert Counter(operated.attempts_of(each) for each in [long, *short]) == {1: SHORT_OPERATIONS + 1}
    assert sorted(map(int, host.read(LEDGER).split())) == list(range(SHORT_OPERATIONS))
    print(
        f"upgraded {upgraded:.0f} s after the long operation began, which ended after {took:.0f} s; "
        f"{SHORT_OPERATIONS} short ones: {dict(endings)}, each once"
    )


def test_a_bad_build_is_rolled_back_by_the_host_itself(operated: Operated, tmp_path: Path) -> None:
    before = operated.running_version()
    with pytest.raises(NotUpgraded, match="rolled back") as caught:
        upgrade(operated, variant(operated.bundle, tmp_path, version="9.1.0", agent_main=BROKEN))
    assert "this build is broken" in str(caught.value)
    assert operated.running_version() == before
    (works,) = operated.start("true")
    assert operated.ended([works]) == ["terminated"]


def upgrade(operated: Operated, bundle: Bundle) -> AgentUpgrade:
    """Upgrade the agent over its control queue."""
    return Upgrading(operated.local, operated.questions, bundle, AGENT, gate_seconds=60).run()
