"""What the installer decides without a host: targets, hosts' names, plans, problems, configuration, causes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tomllib

from outrider.agent import settings as agent_settings
from outrider.installer import AgentSpec, BrokerAccess, HostFacts, Needs, SshTarget, StepFailed, parse_target
from outrider.installer.bundle import HostBundle, Target, make_targets, platform_name
from outrider.installer.configuration import render_configuration
from outrider.installer.errors import AccessFailed, BundleUnfit, FleetError, InstallerError
from outrider.installer.facts import Reach, Space, find_problems
from outrider.installer.fleet import choose_failed, failed_hosts, read_hosts, remember_failed, run_fleet
from outrider.installer.plan import Step, plan_installation
from outrider.installer.upgrade import way_back
from outrider.plugins.ssh.access.errors import HostUnreachable

TARGET = Target("3.11", "linux-x86_64")
FACTS = HostFacts(
    python="3.11",
    python_path="/usr/bin/python3",
    os_name="Debian",
    machine="x86_64",
    libc="glibc",
    libc_version="2.36",
    user="root",
    mode="system",
    state_dir="/var/lib/outrider",
    ca_file="/etc/outrider/broker-ca.pem",
    hostname="h",
    machine_id="m",
    clock_skew_seconds=0.0,
    space=(Space("/opt/outrider/agent", 10**10, writable=True),),
    systemd=True,
    user_manager=False,
    linger=False,
    cron=True,
    cgroup="v1",
    brokers=(),
)


def bundle(version: str = "0.1.0", sha256: str = "a" * 64) -> HostBundle:
    return HostBundle(version, TARGET, b"", sha256)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5", ("root", "10.0.0.5", 22)),
        ("admin@web-1", ("admin", "web-1", 22)),
        ("admin@web-1:2222", ("admin", "web-1", 2222)),
        ("a@b@host", ("a@b", "host", 22)),
        ("fe80::1", ("root", "fe80::1", 22)),
        ("x@[fe80::1]:2200", ("x", "fe80::1", 2200)),
    ],
)
def test_hosts_are_read_as_people_write_them(text: str, expected: tuple[str, str, int]) -> None:
    target = parse_target(text, SshTarget(""))
    assert (target.user, target.host, target.port) == expected


@pytest.mark.parametrize("text", ["", "@host", "admin@", "host:ssh", "a host", "[::1", "[::1]x"])
def test_what_is_no_host_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(FleetError, match=r"admin@10\.0\.0\.5"):
        parse_target(text, SshTarget(""))


def test_secrets_do_not_show_in_a_target_or_an_account() -> None:
    target = SshTarget("h", key_text="K3Y", passphrase="PHR4SE", password="P4SS", sudo_password="SUD0")
    access = BrokerAccess(urls=("amqp://a:P4SS@h/",), ca_pem="PEM")
    shown = f"{target!r} {target} {access!r}"
    assert not any(secret in shown for secret in target.secrets())


def test_a_bundle_is_made_for_known_targets_only() -> None:
    assert len(make_targets()) == 5
    with pytest.raises(BundleUnfit, match=r"Choose of 3\.9"):
        make_targets(["3.8"])
    with pytest.raises(BundleUnfit, match="linux-aarch64"):
        make_targets(["3.11"], ["sparc"])


def test_platforms_go_by_machine_and_c_library() -> None:
    assert platform_name("x86_64", "glibc") == "linux-x86_64"
    assert platform_name("amd64", "") == "linux-x86_64"
    assert platform_name("arm64", "musl") == "musllinux-aarch64"


def test_a_version_that_is_there_is_not_sent_again() -> None:
    plan = plan_installation(replace(FACTS, versions={"0.1.0": "a" * 64}), bundle())
    assert set(plan.skipped) == {Step.TRANSFER, Step.VERIFY, Step.ENVIRONMENT}
    assert plan.needs(Step.SERVICE)


def test_another_build_of_a_version_gets_a_folder_of_its_own() -> None:
    plan = plan_installation(replace(FACTS, versions={"0.1.0": "b" * 64}), bundle())
    assert plan.version == "0.1.0+aaaaaaaa"
    assert plan.needs(Step.TRANSFER)


def test_a_probe_names_all_problems_at_once() -> None:
    facts = replace(
        FACTS,
        clock_skew_seconds=-3600,
        agent_id="other",
        libc_version="2.12",
        space=(Space("/opt/outrider/agent", 0, writable=True), Space("/var/lib/outrider", 10**10, writable=False)),
        brokers=(Reach("b:5672", ok=False, error="connection refused", seconds=0.1),),
    )
    problems = find_problems(facts, Needs(), agent_id="mine")
    causes = {problem.cause for problem in problems}
    assert causes == {
        "disk full",
        "not writable",
        "old C library",
        "wrong clock",
        "broker unreachable from the host",
        "other agent",
    }
    assert all(problem.remedy for problem in problems)


def test_one_broker_of_a_cluster_is_enough() -> None:
    reaches = (Reach("a:1", ok=False, error="x", seconds=0.1), Reach("b:1", ok=True, error="", seconds=0.1))
    assert find_problems(replace(FACTS, brokers=reaches), Needs()) == ()


def test_the_configuration_is_what_the_agent_reads(tmp_path: Path) -> None:
    access = BrokerAccess(urls=('amqps://a:p"w\\é@b:5671/v',), ca_pem="PEM")
    spec = AgentSpec("host-1", access, settings={"slots": 3, "control_groups": False, "log_level": "debug"})
    text = render_configuration(spec, state_dir="/s", ca_file="/etc/ca.pem")
    assert tomllib.loads(text)["broker_urls"] == list(access.urls)
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    settings = agent_settings.load(path, environment={}, flags={})
    assert settings.agent_id == "host-1"
    assert settings.slots == 3
    assert settings.broker_urls == access.urls
    assert settings.broker_ca_file == Path("/etc/ca.pem")


def test_settings_cannot_replace_what_the_installer_writes() -> None:
    spec = AgentSpec("host-1", BrokerAccess(urls=()), settings={"agent_id": "other"})
    assert tomllib.loads(render_configuration(spec, state_dir="/s", ca_file=""))["agent_id"] == "host-1"


def test_addresses_for_the_probe_hold_no_account() -> None:
    access = BrokerAccess(urls=("amqps://a:secret@one/v", "amqp://a:secret@two:99/v"))
    assert [(entry["host"], entry["port"], entry["tls"]) for entry in access.addresses()] == [
        ("one", 5671, True),
        ("two", 99, False),
    ]
    assert "secret" not in repr(access.addresses())


def test_a_fleet_goes_on_after_failures_and_sums_them_up(tmp_path: Path) -> None:
    def work(target: SshTarget) -> str:
        if target.host == "defect":
            raise KeyError("x")
        if target.host.startswith("down"):
            raise StepFailed(target.host, "connect", AccessFailed(HostUnreachable("no answer", remedy="start sshd")))
        return target.host

    targets = read_hosts(["down-1", "up", "defect", "admin@down-2:2222", "up"], None, SshTarget(""))
    report = run_fleet(targets, work)
    assert [outcome.ok for outcome in report.outcomes] == [False, True, False, False]
    assert [(cause.what, cause.hosts) for cause in report.causes()] == [
        ("host unreachable", ("root@down-1", "admin@down-2:2222")),
        ("defect", ("root@defect",)),
    ]
    remembered = tmp_path / "failed.json"
    remember_failed(remembered, report)
    assert [str(target) for target in failed_hosts(remembered, SshTarget(""))] == [
        "root@down-1",
        "root@defect",
        "admin@down-2:2222",
    ]
    # Mended, one of them is tried again; the others stay in the list.
    again, others = choose_failed(failed_hosts(remembered, SshTarget("")), targets[:2])
    assert [str(target) for target in again] == ["root@down-1"]
    remember_failed(remembered, run_fleet(again, lambda target: target.host), others=others)
    left = failed_hosts(remembered, SshTarget(""))
    assert [str(target) for target in left] == ["root@defect", "admin@down-2:2222"]
    assert choose_failed(left, ()) == (left, ())
    with pytest.raises(FleetError, match="none of these hosts failed the last time; it was root@defect"):
        choose_failed(left, targets[:2])
    remember_failed(remembered, run_fleet(targets[1:2], work))
    with pytest.raises(FleetError, match="no failed hosts"):
        failed_hosts(remembered, SshTarget(""))


def test_every_bad_line_of_a_hosts_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("# web\nweb-1\n\nweb 2  # typo\nadmin@\n", encoding="utf-8")
    with pytest.raises(FleetError) as caught:
        read_hosts([], path, SshTarget(""))
    assert f"{path}:4" in str(caught.value)
    assert f"{path}:5" in str(caught.value)


def test_a_failed_step_says_host_step_reason_and_remedy() -> None:
    error = StepFailed("h", "verify", InstallerError("it is damaged", remedy="send it again"))
    assert str(error) == "h: step verify failed: it is damaged. Send it again"


@pytest.mark.parametrize(
    ("current", "noted", "wanted", "back"),
    [
        ("0.1.0", None, "0.2.0", "0.1.0"),
        ("0.2.0", None, "0.2.0", None),
        # An upgrade to 0.2.0 was cut: whatever is wanted now, 0.1.0 is what is known to work.
        ("0.2.0", "0.1.0", "0.2.0", "0.1.0"),
        ("0.2.0", "0.1.0", "0.3.0", "0.1.0"),
        ("0.2.0", "0.1.0", "0.1.0", "0.2.0"),
    ],
)
def test_the_way_back_is_to_what_is_known_to_work(
    current: str, noted: str | None, wanted: str, back: str | None
) -> None:
    assert way_back(replace(FACTS, current=current, way_back=noted), wanted) == back
