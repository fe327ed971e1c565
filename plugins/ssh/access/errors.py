"""Errors of reaching a host. Each says what failed, on which host, and, in `remedy`, what to do.

SshError
├── AddressInvalid        a text that is not [user@]host[:port]
├── HostUnreachable       no SSH server answers
├── HostKeyUnknown        the host's key was never seen, and first use was not allowed
├── HostKeyChanged        the host shows another key than the known one
├── LoginRefused          the host does not let this user in
├── KeyUnusable           a private key file is missing, encrypted or not a key
├── ConnectionLost        the connection broke
├── CommandTimedOut       a command did not end within its limit
├── CommandAbandoned      nobody waits for the command any more
├── TransferFailed        a file cannot be written or read on the host
├── ForwardingRefused     the host's SSH server does not forward ports
├── CommandNotStarted     a command ended before it could begin its work
└── SudoError
    ├── SudoMissing           there is no sudo, or this user may not use it
    ├── SudoPasswordNeeded    sudo asks for a password and none was given
    └── SudoPasswordWrong     sudo did not take the password
"""

from __future__ import annotations


class SshError(Exception):
    """The root. `remedy` is one sentence for the person who wants to reach the host."""

    default_remedy = ""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.default_remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy[:1].upper()}{self.remedy[1:]}" if self.remedy else self.message


class AddressInvalid(SshError):
    """A text that is not ``[user@]host[:port]``."""

    default_remedy = "write [user@]host[:port], such as admin@10.0.0.5"


class HostUnreachable(SshError):
    """No SSH server answers."""


class HostKeyUnknown(SshError):
    """The host's key was never seen, and first use was not allowed."""


class HostKeyChanged(SshError):
    """The host shows another key than the known one: it was reinstalled, or somebody sits in between."""


class LoginRefused(SshError):
    """The host does not let this user in."""


class KeyUnusable(SshError):
    """A private key file is missing, encrypted or not a key."""


class ConnectionLost(SshError):
    """The connection broke."""


class CommandTimedOut(SshError):
    """A command did not end within its limit."""


class CommandAbandoned(SshError):
    """Nobody waits for the command any more: what it was to do is decided."""


class TransferFailed(SshError):
    """A file cannot be written or read on the host."""


class ForwardingRefused(SshError):
    """The host's SSH server does not forward ports."""

    default_remedy = "set AllowTcpForwarding to yes or remote in the host's sshd_config"


class CommandNotStarted(SshError):
    """A command ended before it could begin its work."""


class SudoError(SshError):
    """The way to root on the host is closed."""


class SudoMissing(SudoError):
    """There is no sudo, or this user may not use it."""

    default_remedy = "log in as root, give the user sudo, or do without it"


class SudoPasswordNeeded(SudoError):
    """Sudo asks for a password and none was given."""

    default_remedy = "give the sudo password, or allow the user sudo without one"


class SudoPasswordWrong(SudoError):
    """Sudo did not take the password."""

    default_remedy = "check the sudo password"
