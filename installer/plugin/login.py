"""The way into a blueprint's host: waits until it answers, notices which key it showed when it was trusted first."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from outrider.installer import SshTarget
from outrider.installer.plugin.wishes import Wish
from outrider.plugins.ssh.access.errors import HostUnreachable

_ONE_TRY_SECONDS = 3.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Login:
    """A target, and the file in which the key of a host that was never seen is remembered."""

    target: SshTarget
    first_seen: Path

    def shown_key(self) -> Optional[str]:
        """Return the fingerprint of the host's key: the pinned one, or the one that was trusted at first use."""
        if self.target.host_keys.fingerprint is not None:
            return self.target.host_keys.fingerprint
        names = {self.target.host, f"[{self.target.host}]:{self.target.port}"}
        for line in self.first_seen.read_text(encoding="ascii").splitlines() if self.first_seen.exists() else []:
            name, _kind, key = line.split(" ", 2)
            if name in names:
                digest = hashlib.sha256(base64.b64decode(key)).digest()
                return "SHA256:" + base64.b64encode(digest).rstrip(b"=").decode()
        return None


def login_of(wish: Wish, work_dir: Path, *, pinned: Optional[str], accept_new: bool) -> Login:
    """Return how to log in to the host of a wish.

    Keys that are trusted at first use are kept with the instance, not in a file of the machine's: an address that is
    used again by another instance may show another key.
    """
    first_seen = work_dir / "known_hosts"
    known = (first_seen, Path.home() / ".ssh" / "known_hosts")
    return Login(wish.target(known_hosts=known, pinned=pinned, accept_new=accept_new), first_seen)


def wait_for_ssh(target: SshTarget, *, timeout_seconds: float) -> None:
    """Return when an SSH server answers; raises `HostUnreachable`. Behind a jump host, the first login finds out."""
    if target.jumps:
        return
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            with socket.create_connection((target.host, target.port), timeout=_ONE_TRY_SECONDS) as connection:
                if connection.recv(4) == b"SSH-":
                    return
                failure = "what answers is no SSH server"
        except OSError as error:
            failure = str(error)
        if time.monotonic() > deadline:
            raise HostUnreachable(
                f"{target.host} does not answer SSH on port {target.port}: {failure}",
                remedy="see whether the host has booted, its address is right, and the firewall lets you through",
            )
        time.sleep(_POLL_SECONDS)
