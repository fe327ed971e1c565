"""How commands log in to hosts over SSH: the same options for each of them, declared once."""

from __future__ import annotations

import functools
import getpass
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

# Commands that may log in are also used without: their start needs nothing of SSH.
if TYPE_CHECKING:
    from outrider.installer import SshTarget

BundleFile = Annotated[Path | None, typer.Option("--bundle", help="From `agent bundle`; default, made once.")]


@dataclass(frozen=True)
class Login:
    """What the options say about getting in; each field is one."""

    user: Annotated[str, typer.Option("--user", "-u", help="Login, where a host does not name one.")] = "root"
    key: Annotated[Path | None, typer.Option("--key", help="Private key file.", exists=True)] = None
    ask_password: Annotated[bool, typer.Option("--ask-password", help="Ask for the login password.")] = False
    ask_sudo: Annotated[bool, typer.Option("--ask-sudo-password", help="Ask for the password of sudo.")] = False
    jump: Annotated[
        list[str] | None, typer.Option("--jump", help="Host to go through; repeatable, first one first.")
    ] = None
    fingerprint: Annotated[str | None, typer.Option(help="SHA256:… of the host's key; no other is taken.")] = None
    accept_new: Annotated[
        bool, typer.Option("--accept-new-host-keys", help="Take the key of a host never seen before.")
    ] = False
    no_root: Annotated[bool, typer.Option("--no-root", help="The agent belongs to the login user.")] = False

    def defaults(self) -> SshTarget:
        """Return a target of which only the host is missing; asks for passwords."""
        from outrider.installer import HostKeys, SshTarget, Sudo, read_hosts

        known_hosts = Path.home() / ".ssh" / "known_hosts"
        keys = HostKeys(known_hosts=(known_hosts,), fingerprint=self.fingerprint, accept_new=self.accept_new)
        base = SshTarget(
            host="",
            user=self.user,
            key_file=self.key,
            password=getpass.getpass(f"password of {self.user}: ") if self.ask_password else None,
            sudo=Sudo.NEVER if self.no_root else Sudo.AUTO,
            sudo_password=getpass.getpass("password of sudo: ") if self.ask_sudo else None,
            host_keys=keys,
        )
        jumps = read_hosts(self.jump or (), None, base)
        return SshTarget(**{**base.__dict__, "jumps": jumps})


def with_login(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Login`, in the place of its parameter `login`."""
    kinds = get_type_hints(Login, include_extras=True)
    options = [_option(each.name, kinds[each.name], each.default) for each in fields(Login)]
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(command, eval_str=True).parameters.values():
        parameters += options if each.name == "login" else [_option(each.name, each.annotation, each.default)]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        login = Login(**{each.name: given.pop(each.name) for each in options})
        command(login=login, **given)

    # What the library of the command line makes options of.
    vars(with_options)["__signature__"] = inspect.Signature(parameters)
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
