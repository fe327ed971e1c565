"""The installer's way to a host: `session` runs its actions there, over the connections of the SSH plugin."""

from __future__ import annotations

from outrider.plugins.ssh.access import HostKeys, Limits, SshTarget, Sudo

__all__ = ["HostKeys", "Limits", "SshTarget", "Sudo"]
