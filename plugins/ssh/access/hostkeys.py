"""Checking a host's key against known_hosts or a pinned fingerprint; the first use is trusted only if asked for."""

from __future__ import annotations

import base64
import hashlib
import threading
from pathlib import Path

import paramiko

from outrider.plugins.ssh.access.errors import HostKeyChanged, HostKeyUnknown
from outrider.plugins.ssh.access.target import DEFAULT_PORT, HostKeys

DEFAULT_KNOWN_HOSTS = Path("~/.ssh/known_hosts")
#: Parallel installations add keys to one file.
_WRITING = threading.Lock()


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).rstrip(b"=").decode()


def entry_name(host: str, port: int) -> str:
    """Return a host's name in known_hosts."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def known_keys(policy: HostKeys, name: str) -> list[paramiko.PKey]:
    """Return the keys that the known_hosts files hold for a host."""
    found: list[paramiko.PKey] = []
    for path in _files(policy):
        keys = paramiko.HostKeys()
        if path.exists():
            keys.load(str(path))
        entry = keys.lookup(name)
        if entry is not None:
            found.extend(entry.values())
    return found


def check_host_key(policy: HostKeys, *, host: str, port: int, key: paramiko.PKey) -> None:
    """Return if the key is right; raises HostKeyUnknown or HostKeyChanged with both fingerprints and the remedy."""
    shown, name = fingerprint(key), entry_name(host, port)
    if policy.fingerprint is not None:
        if shown != policy.fingerprint:
            raise HostKeyChanged(
                f"{name} shows the key {shown}, pinned is {policy.fingerprint}",
                remedy="make sure that this is the right machine before you pin another key",
            )
        return
    known = known_keys(policy, name)
    if any(candidate.asbytes() == key.asbytes() for candidate in known):
        return
    if known:
        expected = ", ".join(fingerprint(candidate) for candidate in known)
        raise HostKeyChanged(
            f"{name} shows the key {shown}, known is {expected}: it was reinstalled, or somebody sits in between",
            remedy=f"if it was reinstalled, remove the old key with `ssh-keygen -R '{name}'` and connect again",
        )
    if not policy.accept_new:
        raise HostKeyUnknown(
            f"{name} shows the key {shown}, which is in no known_hosts file",
            remedy="compare it with the host's own, then pin it or allow new host keys",
        )
    _remember(_files(policy)[0], name, key)


def preferred_key_types(policy: HostKeys, name: str) -> list[str]:
    """Return the types of the known keys: a server that has several is asked for one that can be checked."""
    return [key.get_name() for key in known_keys(policy, name)]


def _files(policy: HostKeys) -> list[Path]:
    return [path.expanduser() for path in policy.known_hosts or (DEFAULT_KNOWN_HOSTS,)]


def _remember(path: Path, name: str, key: paramiko.PKey) -> None:
    with _WRITING:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as stream:
            stream.write(f"{name} {key.get_name()} {key.get_base64()}\n")
