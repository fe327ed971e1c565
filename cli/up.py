"""`outrider up`: everything in one process. Manager, dispatcher, and on the embedded default also broker and agent."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from outrider.agent.errors import AgentError, StateLocked
from outrider.cli.addresses import host_alone, host_and_port
from outrider.cli.ca import folder, issue_certificate, make_authority, still_serves
from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import Home
from outrider.cli.local import Local, opened
from outrider.cli.logs import configure_logging
from outrider.cli.output import console, errors, fail
from outrider.cli.settings import CommandSettings, command_settings
from outrider.dispatcher.attempts import Files
from outrider.dispatcher.durable import create_file
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.files import FileTokens, Subject, SubjectKind
from outrider.dispatcher.garbage import collect_rarely
from outrider.dispatcher.keyfile import load_key
from outrider.dispatcher.manager_access import ManagerAddress
from outrider.dispatcher.secrets import DatabaseTable, KeyRing, SecretStore
from outrider.dispatcher.store import ownership
from outrider.manager_stub import (
    WILDCARDS,
    CannotServe,
    Manager,
    ManagerServer,
    ManagerSettings,
    listen,
    usual_page_processes,
)
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import FilesRef
from outrider.plugins.wagons import WagonError

#: How long an agent may fetch what a task names.
FILES_TOKEN_SECONDS = 24 * 3600.0
LOOPBACK = "127.0.0.1:8099"


def up(
    listen: Annotated[
        str, typer.Option(help="Address and port, IPv6 as [::1]:8099; port 0 takes any free one.")
    ] = LOOPBACK,
    advertise: Annotated[
        str | None, typer.Option(help="Name by which clients and agents reach it, where that differs.")
    ] = None,
    broker: Annotated[
        list[str] | None, typer.Option(help="amqp[s]://…; repeat for a cluster. Default: in this process.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="postgresql://…. Default: SQLite in the home folder.")] = None,
    plain_http: Annotated[bool, typer.Option(help="No TLS, although others can reach the address.")] = False,
    tls: Annotated[bool, typer.Option(help="TLS on the loopback address, too.")] = False,
    certificate: Annotated[Path | None, typer.Option(help="PEM; default: one from outrider ca.", exists=True)] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="PEM of its key.", exists=True)] = None,
    network_imports: Annotated[
        bool,
        typer.Option(
            "--network-imports",
            help="Fetch what blueprints import by http(s), for everybody who may upload one, from any address.",
        ),
    ] = False,
    page_processes: Annotated[
        int | None,
        typer.Option(
            min=0, max=64, help="Processes that make lists when many ask at once. Default: one a core, 4 at most."
        ),
    ] = None,
) -> None:
    """Start the manager; Ctrl-C stops it, and what runs goes on at the next start."""
    flags = {"broker_urls": ",".join(broker) if broker else None, "database_url": database}
    settings = command_settings({name: value for name, value in flags.items() if value is not None})
    configure_logging(settings.connection.log_level)
    serving = manager_settings(
        settings.home, listen, advertise=advertise, plain_http=plain_http, tls=tls, own=(certificate, certificate_key)
    )
    serving = replace(
        serving,
        imports_over_network=network_imports,
        page_processes=usual_page_processes() if page_processes is None else page_processes,
    )
    try:
        with running(settings, serving) as server:
            wait_for_signal()
            errors.print("stopping; executions go on at the next start", markup=False)
            del server
    except CannotServe as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    except StateLocked:
        home = settings.home.path
        others = "`outrider up` or `outrider run` is at work there"
        remedy = "stop it, name another home in OUTRIDER_HOME, or give several managers a broker (--broker)"
        fail(f"{home} is in use, {others}: {remedy}", ExitCode.UNAVAILABLE)
    except (AgentError, DispatcherError, MessagingError, WagonError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)


@contextmanager
def running(settings: CommandSettings, serving: ManagerSettings) -> Iterator[ManagerServer]:
    """Run everything for the time of the block, and say how to use it."""
    home = settings.home.make()
    tokens = FileTokens(load_key(home.path / "files.key"))
    # First of all: agents are told the address, and a port that is taken must not start a dispatcher.
    listener = listen(serving)
    serving = replace(serving, port=listener.getsockname()[1])
    files_for = None if settings.embedded else served_files(serving, tokens)
    with listener, opened(settings, files_for=files_for, manager=address_for_operations(serving)) as local:
        secrets = SecretStore(DatabaseTable(local.dispatcher.database), KeyRing(home.secret_key))
        manager = Manager(
            local.dispatcher,
            secrets,
            replace(serving, work=home.path / "uploads"),
            file_tokens=tokens,
            enrol=local.enrol,
            healthy=lambda: unwell(local),
        )
        password = manager.first_admin()
        with ManagerServer(manager, listener) as server:
            collect_rarely()
            greet(home, serving, password)
            yield server


def manager_settings(
    home: Home,
    listen: str,
    *,
    advertise: str | None,
    plain_http: bool,
    tls: bool,
    own: tuple[Path | None, Path | None],
) -> ManagerSettings:
    """Return where and how to serve: TLS by default wherever others can reach it, with a certificate made if needed."""
    where = host_and_port(listen)
    if where is None:
        fail(f"--listen {listen!r} is not of the form ADDRESS:PORT, such as {LOOPBACK}, 0.0.0.0:443 or [::1]:8099")
    host, port = where
    if tls and plain_http:
        fail("--tls and --plain-http contradict each other")
    known_as = None if advertise is None else host_alone(advertise)
    if advertise is not None and known_as is None:
        fail(f"--advertise {advertise!r} is no host's name or address: write it alone, such as manager.example")
    settings = ManagerSettings(host=host, port=port, advertise=known_as, allow_plain_http=plain_http)
    certificate, key = own
    if certificate is None and (tls or settings.problems()):
        certificate, key = made_certificate(home, settings)
    if certificate is None:
        return settings
    if key is None:
        fail(f"--certificate {certificate} needs --certificate-key")
    authority = folder() / "ca.pem"
    return replace(
        settings, certificate=certificate, certificate_key=key, authority=authority if authority.exists() else None
    )


def made_certificate(home: Home, settings: ManagerSettings) -> tuple[Path, Path]:
    """Return the certificate that is used without another.

    It is made, with the authority, at the first start, and again by a start that has another name to serve under or
    comes shortly before its end: clients trust the authority, so that they notice nothing.
    """
    place = folder()
    advertised = [settings.advertise] if settings.advertise else []
    loopback = ["localhost", "127.0.0.1", *(["::1"] if settings.host == "::" else [])]
    names = dict.fromkeys(["manager", *advertised, socket.gethostname(), *loopback, settings.host])
    wanted = [name for name in names if name not in WILDCARDS]
    certificate, key = place / "manager.pem", place / "manager.key"
    # An authority whose key is kept elsewhere can make none here: what lies there was put there.
    if certificate.exists() and (still_serves(certificate, wanted) or not (place / "ca.key").exists()):
        return certificate, key
    if not (place / "ca.pem").exists():
        make_authority(place, name=f"Outrider authority of {socket.gethostname()} ({home.path.name})")
    return issue_certificate(place, wanted)


def served_files(serving: ManagerSettings, tokens: FileTokens) -> Files:
    """Return where agents on other machines fetch wagons: from the manager, each with a token of its own."""
    authority = serving.authority.read_text(encoding="utf-8") if serving.authority else None

    def files_for(agent_id: str) -> FilesRef:
        subject = Subject(kind=SubjectKind.AGENT, id=agent_id)
        token = tokens.issue(subject, lifetime_seconds=FILES_TOKEN_SECONDS)
        return FilesRef(url=f"{serving.url}/files", token=token, ca_pem=authority)

    return files_for


def address_for_operations(serving: ManagerSettings) -> ManagerAddress:
    """Return where operations that call the manager back find it: where agents fetch files, too."""
    authority = serving.authority.read_text(encoding="utf-8") if serving.authority else None
    return ManagerAddress(protocol=serving.scheme, host=serving.name, port=serving.port, ca_pem=authority)


def unwell(local: Local) -> list[str]:
    """Return what is wrong with this process: an engine that does not renew its lease has stopped or hangs."""
    database, own = local.dispatcher.database, local.dispatcher.engine.id
    with database.read() as connection:
        now = database.now(connection)
        lease = next((each.lease_until for each in ownership.members(connection) if each.id == own), 0.0)
    return [] if lease > now else [f"dispatcher {own} has not renewed its lease for {now - lease:.0f} s"]


def greet(home: Home, serving: ManagerSettings, password: str | None) -> None:
    """Say where it is, how to log in, and what to do next."""
    kept = home.path / "admin.password"
    if password is not None:
        kept.unlink(missing_ok=True)
        create_file(kept, f"{password}\n".encode())
    console.print(f"Outrider is at {serving.url} (state in {home.path})", soft_wrap=True, markup=False)
    if password is not None:
        console.print(f"log in as admin with the password {password}", soft_wrap=True, markup=False)
        notice = f"it is shown this once, and kept in {kept}: change it, then delete the file"
        console.print(notice, soft_wrap=True, markup=False)
    secure = f" --ssl -c {serving.authority}" if serving.authority else (" --ssl" if serving.certificate else "")
    console.print("next: open the page in a browser, or", soft_wrap=True)
    console.print(
        f"  cfy profiles use {serving.name} -u admin -p PASSWORD -t default_tenant --rest-port {serving.port}{secure}",
        soft_wrap=True,
        markup=False,
    )


def wait_for_signal() -> None:
    """Return when the process is asked to end."""
    asked = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    asked.wait()
