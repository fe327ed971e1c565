"""The way to a host: `SshTarget` says which and as whom, `connect` logs in, `session` runs the installer's actions."""

from __future__ import annotations

from outrider.installer.ssh.connection import Connection, connect
from outrider.installer.ssh.target import HostKeys, Limits, SshTarget, Sudo, parse_target

__all__ = ["Connection", "HostKeys", "Limits", "SshTarget", "Sudo", "connect", "parse_target"]
