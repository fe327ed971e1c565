"""Access to a host by SSH: whom to log in as and how, host keys, jump hosts, commands, files, sudo, forwarded ports.

The operations of the plugin use it, and so does the installer, which puts agents on hosts: this package belongs to
Outrider's own distribution too. It knows nothing of operations; its errors are in `errors`.
"""

from __future__ import annotations

from outrider.plugins.ssh.access.connection import Connection, connect
from outrider.plugins.ssh.access.running import CommandAnswer, Running
from outrider.plugins.ssh.access.target import HostKeys, Limits, SshTarget, Sudo, parse_target

__all__ = [
    "CommandAnswer",
    "Connection",
    "HostKeys",
    "Limits",
    "Running",
    "SshTarget",
    "Sudo",
    "connect",
    "parse_target",
]
