"""`outrider agent bundle|doctor|install|upgrade|uninstall`: agents onto hosts over SSH, on many at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from outrider.cli.agent_gate import tested
from outrider.cli.agent_upgrade import over_broker
from outrider.cli.broker import Broker, management_of, opened_broker
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.login import BundleFile, Login, with_login
from outrider.cli.output import console, errors, fail, print_table, printing, say
from outrider.cli.settings import CommandSettings, command_settings
from outrider.cli.waterfall import seconds
from outrider.dispatcher.errors import DispatcherError
from outrider.installer import (
    AgentSpec,
    BrokerAccess,
    BrokerAccount,
    Bundle,
    FleetReport,
    HealthGate,
    InstallerError,
    Needs,
    Outcome,
    SshTarget,
    StepEvent,
    StepState,
    broker_heartbeats,
    build_bundle,
    check_name,
    choose_failed,
    failed_hosts,
    make_targets,
    read_hosts,
    remember_failed,
    remove_account,
    run_fleet,
    uninstall_agent,
    upgrade_agent,
)
from outrider.installer import doctor as probe
from outrider.installer import install_agent as put_agent
from outrider.messaging.errors import MessagingError
from outrider.messaging.version import __version__

T = TypeVar("T")

Hosts = Annotated[list[str] | None, typer.Argument(help="[user@]host[:port], several if you like.", metavar="HOST")]
HostsFile = Annotated[Path | None, typer.Option("--hosts", help="File with a host a line.", exists=True)]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Of these hosts, or of all: those on which it failed last time.")
]


@dataclass(frozen=True)
class ChosenFleet:
    """The hosts that a command is for."""

    targets: tuple[SshTarget, ...]
    #: Where those on which it fails are kept.
    failed: Path
    #: They failed before, and are not for this run.
    others: tuple[SshTarget, ...] = ()


def bundle(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    python: Annotated[list[str] | None, typer.Option(help="3.9 … 3.13; default, all.")] = None,
    platform: Annotated[list[str] | None, typer.Option(help="Such as linux-x86_64, linux-aarch64.")] = None,
) -> None:
    """Make the archive that brings the agent to hosts without internet: wheels, virtualenv, hashes."""
    try:
        wanted = {"pythons": tuple(python or ()), "platforms": tuple(platform or ())}
        targets = make_targets(**{name: value for name, value in wanted.items() if value})
        made = build_bundle(output, targets, progress=say)
    except InstallerError as error:
        fail(str(error))
    console.print(f"{output}: agent {made.version} for {', '.join(map(str, made.targets))}", soft_wrap=True)


@with_login
def doctor(
    hosts: Hosts = None,
    hosts_file: HostsFile = None,
    *,
    login: Login,
    bundle_file: BundleFile = None,
) -> None:
    """Look whether a host is ready for an agent, or how its agent is; changes nothing."""
    targets = chosen_hosts(hosts, hosts_file, login)
    program = open_bundle(bundle_file).host_program
    settings = command_settings()
    access = None if settings.embedded else BrokerAccess(host_addresses(settings), ca_pem=ca_of(settings))
    report = run_fleet(targets, lambda target: probe(target, program, broker=access, needs=Needs()))
    for outcome in report.outcomes:
        if outcome.result is not None:
            facts = outcome.result.facts
            console.print(f"{outcome.target}: {facts.os_name}, Python {facts.python}, as {facts.user}", markup=False)
            for problem in outcome.result.problems:
                console.print(f"  problem: {problem.what}: {problem.remedy}", markup=False, soft_wrap=True)
            if outcome.result.service != "none":
                console.print(f"  its agent {facts.agent_id}: {outcome.result.service}", markup=False, soft_wrap=True)
    unready = any(outcome.result is not None and outcome.result.problems for outcome in report.outcomes)
    conclude(report, done="looked at")
    if unready:
        raise typer.Exit(ExitCode.FAILED)


@with_login
def install_agents(
    hosts: Hosts = None,
    hosts_file: HostsFile = None,
    *,
    login: Login,
    bundle_file: BundleFile = None,
    agent_id: Annotated[str | None, typer.Option("--id", help="Agent's id, for one host; default, its name.")] = None,
    retry_failed: RetryFailed = False,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give agents that are all right a new broker password, too.")
    ] = False,
) -> None:
    """Put agents on hosts as services; running it again continues, or changes nothing."""
    chosen = choose_fleet("install", hosts, hosts_file, login, retry_failed=retry_failed)
    if agent_id is not None and len(chosen.targets) != 1:
        fail("--id names one agent; with several hosts each agent has its host's name")
    settings = command_settings()
    if settings.engine.central_agent in (agent_id, *map(agent_name, chosen.targets)):
        fail(f"{settings.engine.central_agent!r} is the central agent's name: give the host's agent another with --id")
    archive = open_bundle(bundle_file)

    def work(target: SshTarget, broker: Broker, heartbeats: Any) -> Any:
        name = check_name(agent_id or agent_name(target))
        spec = AgentSpec(name, BrokerAccess(host_addresses(settings), ca_pem=ca_of(settings)))
        account = BrokerAccount(broker.management, broker.transport, name, broker.vhost, new_password=new_password)
        return put_agent(target, spec, archive, heartbeats=heartbeats, observer=show_step, account=account)

    with_broker(settings, chosen, work, done="an agent runs on")


@with_login
def upgrade_agents(
    hosts: Hosts = None,
    hosts_file: HostsFile = None,
    *,
    login: Login,
    bundle_file: BundleFile = None,
    retry_failed: RetryFailed = False,
    on: Annotated[
        list[str] | None, typer.Option("--on", help="Over the broker instead of SSH: agent or pattern; repeatable.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Over the broker: every agent that lives.")] = False,
) -> None:
    """Bring a new version beside the old one and switch; one that does not work is rolled back.

    By SSH to the named hosts, or, with `--on` or `--all`, over the broker: then agents fetch the bundle from here.
    """
    if on or every:
        over_broker(on or [], open_bundle(bundle_file), every=every)
        return
    chosen = choose_fleet("upgrade", hosts, hosts_file, login, retry_failed=retry_failed)
    archive = open_bundle(bundle_file)
    settings = command_settings()
    management_of(settings)  # says what is missing before anything is opened
    try:
        with tested(settings) as test:

            def work(target: SshTarget, _broker: Broker, heartbeats: Any) -> Any:
                return upgrade_agent(target, archive, HealthGate(heartbeats, test), observer=show_step)

            with_broker(settings, chosen, work, done="upgraded")
    except (DispatcherError, MessagingError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)


@with_login
def uninstall_agents(
    hosts: Hosts = None,
    hosts_file: HostsFile = None,
    *,
    login: Login,
    bundle_file: BundleFile = None,
    agent_id: Annotated[str | None, typer.Option("--id", help="Agent's id, for one host; default, its name.")] = None,
    retry_failed: RetryFailed = False,
) -> None:
    """End what runs, remove service and files from the hosts, and account and queues from the broker."""
    chosen = choose_fleet("uninstall", hosts, hosts_file, login, retry_failed=retry_failed)
    program = open_bundle(bundle_file).host_program

    def work(target: SshTarget, broker: Broker, _heartbeats: Any) -> Any:
        name = agent_id or agent_name(target)
        return uninstall_agent(
            target,
            program,
            remove_account=lambda: remove_account(broker.management, broker.transport, name),
            observer=show_step,
        )

    with_broker(command_settings(), chosen, work, done="nothing of Outrider is left on")


def with_broker(
    settings: CommandSettings,
    chosen: ChosenFleet,
    work: Callable[[SshTarget, Broker, Any], T],
    *,
    done: str,
) -> None:
    """Do the work on every host, connected to the broker; print the summary, end with the right exit code."""
    try:
        with opened_broker(settings) as broker, broker_heartbeats(broker.transport) as heartbeats:
            report = run_fleet(chosen.targets, lambda target: work(target, broker, heartbeats), finished=show_outcome)
    except (InstallerError, MessagingError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    remember_failed(chosen.failed, report, others=chosen.others)
    conclude(report, done=done, again=" with --retry-failed")


def chosen_hosts(hosts: list[str] | None, file: Path | None, login: Login) -> tuple[SshTarget, ...]:
    """Return the hosts of arguments and of the file, or end the command."""
    try:
        found = read_hosts(hosts or (), file, login.defaults())
    except InstallerError as error:
        fail(str(error))
    if not found:
        fail("no hosts: name them ([user@]host[:port]), or give a file with --hosts")
    return found


def choose_fleet(
    command: str, hosts: list[str] | None, file: Path | None, login: Login, *, retry_failed: bool
) -> ChosenFleet:
    """Return the hosts that a command is for, or end it. Each command has a list of its own of those that failed."""
    kept = find_home().path / f"failed-{command}.json"
    if not retry_failed:
        return ChosenFleet(chosen_hosts(hosts, file, login), kept)
    try:
        defaults = login.defaults()
        targets, others = choose_failed(failed_hosts(kept, defaults), read_hosts(hosts or (), file, defaults))
    except InstallerError as error:
        fail(str(error))
    return ChosenFleet(targets, kept, others)


def open_bundle(path: Path | None) -> Bundle:
    """Return the bundle of a file; without one, the one made for this version, made now if need be."""
    try:
        if path is not None:
            return Bundle(path)
        kept = find_home().make().path / "bundles" / f"outrider-agent-{__version__}.tar"
        if kept.exists():
            return Bundle(kept)
        kept.parent.mkdir(exist_ok=True)
        return build_bundle(kept, progress=say)
    except InstallerError as error:
        fail(str(error))


def agent_name(target: SshTarget) -> str:
    """Return the agent's id for a host: its name, with what ids cannot hold replaced."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", target.host)


def host_addresses(settings: CommandSettings) -> tuple[str, ...]:
    """Return the broker's addresses for hosts."""
    return settings.connection.hosts_broker_urls or settings.connection.broker_urls


def ca_of(settings: CommandSettings) -> str | None:
    """Return the authority's certificate that agents are to trust."""
    file = settings.connection.broker_ca_file
    return None if file is None else file.read_text(encoding="utf-8")


def show_step(event: StepEvent) -> None:
    """Print the end of each step on each host."""
    if event.state in {StepState.DONE, StepState.FAILED, StepState.SKIPPED}:
        took = f"  {seconds(event.seconds)}" if event.seconds is not None else ""
        say(f"{event.host}  {event.step:<13} {event.state.value}{took}  {event.detail}".rstrip())


def show_outcome(outcome: Outcome[Any]) -> None:
    """Print how the work ended on one host."""
    with printing:
        if outcome.ok:
            for notice in getattr(outcome.result, "notices", ()):
                errors.print(f"{outcome.target}: {notice}", markup=False, soft_wrap=True)
        else:
            errors.print(f"{outcome.target}: {outcome.error}", style="red", markup=False, soft_wrap=True)


def conclude(report: FleetReport[Any], *, done: str, again: str = "") -> None:
    """Print the failures by cause; the exit code tells whether there were any."""
    well = sum(outcome.ok for outcome in report.outcomes)
    console.print(f"{done} {well} of {len(report.outcomes)} host{'s' if len(report.outcomes) != 1 else ''}")
    if report.failed:
        rows = [(cause.what, len(cause.hosts), ", ".join(cause.hosts[:5]), cause.remedy) for cause in report.causes()]
        print_table(("failed because", "hosts", "which", "remedy"), rows, empty="")
        console.print(f"Once mended: the same command{again}")
        raise typer.Exit(ExitCode.FAILED)
