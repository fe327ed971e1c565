"""`outrider profile …`: managers to work with, from any machine."""

from __future__ import annotations

import base64
import getpass
import ssl
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import typer

from outrider.cli import completing, profiles
from outrider.cli.exit_codes import ExitCode
from outrider.cli.output import console, fail, print_json, print_table
from outrider.cli.profiles import LOCAL, Profile, ProfileError
from outrider.cli.remote.client import ManagerClient, ManagerRefused, ManagerUnreachable

Name = Annotated[str, typer.Argument(help="What you call it.", metavar="NAME")]


def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="https://manager.example:8099", metavar="URL")],
    user: Annotated[
        str | None, typer.Option("--user", "-u", help="Log in with a password, for which a token is made there.")
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="The tenant to work in.")] = "default_tenant",
    ca: Annotated[
        Path | None, typer.Option("--ca", exists=True, help="PEM of the authority that signed its certificate.")
    ] = None,
) -> None:
    """Get to know a manager, and use it from now on.

    The token, or the password with --user, is asked for or read from a pipe: never an argument, which everybody could
    see. Passwords are not kept; the profile's file can be read by its owner only.
    """
    address = _parts(url)
    if (
        address is None
        or address.scheme not in ("http", "https")
        or not address.hostname
        or not _port_is_right(address)
    ):
        fail(f"{url!r} is no address of a manager: write https://manager.example:8099")
    if ca is not None and address.scheme != "https":
        fail(f"--ca is for https, and {url} is plain HTTP")
    given = secret(f"password of {user}" if user else "token")
    profile = Profile(
        name=checked(name),
        url=f"{address.scheme}://{address.netloc}",
        token="" if user else given,
        tenant=tenant,
        authority=_authority(ca) if ca else None,
    )
    try:
        with closing(ManagerClient(profile)) as client:
            if user:
                login = base64.b64encode(f"{user}:{given}".encode()).decode()
                made = client.call(
                    "POST",
                    "/tokens",
                    body={"description": f"outrider profile {name}"},
                    headers={"Authorization": f"Basic {login}"},
                )
                profile = Profile(**{**vars(profile), "token": made["value"]})
        with closing(ManagerClient(profile)) as client:
            version = client.call("GET", "/api/version")["version"]
            client.call("GET", "/status")
    except ManagerUnreachable as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    except ManagerRefused as error:
        fail(f"{profile.url}: {error}")
    profiles.save(profile)
    profiles.use(name)
    console.print(f"{profile.url} answers (API of {version}) and is in use; back with: outrider profile use {LOCAL}")


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        # Half of the brackets of an IPv6 address, or something else between them.
        return None


def _port_is_right(address: SplitResult) -> bool:
    try:
        return address.port != 0
    except ValueError:
        return False


def _authority(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii")
        ssl.create_default_context(cadata=text)
    except (ValueError, ssl.SSLError):
        fail(f"--ca {file} holds no certificate in PEM: the manager's own lies in tls/ca.pem of its home folder")
    except OSError as error:
        fail(f"--ca {file} cannot be read: {error.strerror}")
    return text


def secret(what: str) -> str:
    """Ask for a token or a password, or read it from a pipe."""
    value = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not value or not value.isascii() or not value.isprintable():
        fail(f"the {what} is empty or cannot be sent")
    return value


def checked(name: str) -> str:
    """Return a name that may be a profile's, or end the command."""
    try:
        return profiles.checked_name(name)
    except ProfileError as error:
        fail(str(error))


def use(
    name: Annotated[
        str,
        typer.Argument(
            help=f"A profile, or {LOCAL}: this machine.", metavar="NAME", autocompletion=completing.profiles
        ),
    ],
) -> None:
    """Work with a manager from now on, or with this machine's own store."""
    try:
        profiles.use(name)
    except ProfileError as error:
        fail(str(error))
    console.print(f"{name} is in use")


def list_profiles(json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False) -> None:
    """List the managers that are known; tokens are not shown."""
    try:
        found = [profiles.load(name) for name in profiles.names()]
    except ProfileError as error:
        fail(str(error))
    chosen = profiles.in_use()
    if json:
        print_json([{"name": p.name, "url": p.url, "tenant": p.tenant, "in_use": p.name == chosen} for p in found])
        return
    rows = [("*" if p.name == chosen else "", p.name, p.url, p.tenant) for p in found]
    rows.insert(0, ("*" if chosen == LOCAL else "", LOCAL, "this machine", "–"))
    print_table(("", "profile", "manager", "tenant"), rows, empty="")


def remove(
    name: Annotated[str, typer.Argument(help="Its name.", metavar="NAME", autocompletion=completing.managers)],
) -> None:
    """Forget a manager. Its token stays good there until it is deleted or expires."""
    try:
        profiles.remove(name)
    except ProfileError as error:
        fail(str(error))
    console.print(f"forgot {name}")
