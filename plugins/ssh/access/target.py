"""Which host, as whom, by which way: what a person says about an SSH connection. Secrets never show in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Optional

from outrider.plugins.ssh.access.errors import AddressInvalid

DEFAULT_PORT = 22


class Sudo(str, Enum):
    """How to become root on the host."""

    #: Root if the login user is root or may use sudo; otherwise the login user.
    AUTO = "auto"
    #: Root, or an error.
    ALWAYS = "always"
    #: The login user.
    NEVER = "never"


@dataclass(frozen=True)
class HostKeys:
    """How the host proves that it is the right one."""

    known_hosts: tuple[Path, ...] = ()
    #: ``SHA256:…`` as ``ssh-keygen -l`` prints it: only this key is taken.
    fingerprint: Optional[str] = None
    #: Take and remember the key of a host that was never seen; a changed key is refused all the same.
    accept_new: bool = False


@dataclass(frozen=True)
class Limits:
    """How long each part of the way may take, in seconds."""

    connect: float = 20.0
    login: float = 30.0
    #: Without an answer to a keepalive for about this long, the line counts as dead.
    keepalive: float = 15.0
    command: float = 120.0
    #: A transfer that moves nothing for this long counts as broken.
    stall: float = 60.0


@dataclass(frozen=True)
class SshTarget:
    """One host and how to get in."""

    host: str
    user: str = "root"
    port: int = DEFAULT_PORT
    key_file: Optional[Path] = None
    #: A private key's text (blueprints hold it in a secret).
    key_text: Optional[str] = field(default=None, repr=False)
    passphrase: Optional[str] = field(default=None, repr=False)
    password: Optional[str] = field(default=None, repr=False)
    #: Offer the keys of the user's SSH agent, and those in ~/.ssh.
    use_agent: bool = True
    sudo: Sudo = Sudo.AUTO
    #: None = the login password, if there is one.
    sudo_password: Optional[str] = field(default=None, repr=False)
    host_keys: HostKeys = HostKeys()
    #: Hosts to go through, the first one first.
    jumps: tuple[SshTarget, ...] = ()
    limits: Limits = Limits()
    #: The host's Python, where the usual names do not find the right one.
    python: Optional[str] = None

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"{self.user}@{self.host}{port}"

    def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in any text."""
        own = (self.key_text, self.passphrase, self.password, self.sudo_password)
        through = tuple(secret for jump in self.jumps for secret in jump.secrets())
        return tuple(secret for secret in own if secret) + through


def parse_target(text: str, defaults: SshTarget) -> SshTarget:
    """Return the target that ``[user@]host[:port]`` means; what it does not say comes from `defaults`.

    Raises AddressInvalid.
    """
    user, at, rest = text.strip().rpartition("@")
    if rest.startswith("["):  # an IPv6 address in brackets
        host, bracket, tail = rest[1:].partition("]")
        port = tail.removeprefix(":")
        valid = bool(bracket) and (not tail or tail.startswith(":"))
    elif rest.count(":") > 1:
        host, port, valid = rest, "", True
    else:
        host, _, port = rest.partition(":")
        valid = True
    if not host or not valid or (at and not user) or (port and not port.isdigit()) or any(map(str.isspace, host)):
        raise AddressInvalid(f"{text!r} is not a host")
    return replace(defaults, host=host, user=user or defaults.user, port=int(port) if port else defaults.port)
