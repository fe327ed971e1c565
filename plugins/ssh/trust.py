"""Trust at first use, if the blueprint allows it: the key that a host showed is noted with the instance.

A `known_hosts` file would know addresses only, and clouds give the address of a deleted machine to the next one; the
instance's runtime properties go with the machine, and are there on whatever agent the next operation runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko

from outrider.plugins.ssh.access.hostkeys import DEFAULT_KNOWN_HOSTS, fingerprint
from outrider.plugins.ssh.access.target import SshTarget

#: The runtime property: name as in known_hosts → fingerprint.
NOTED_HOST_KEYS = "ssh_host_keys"
_FILE = "ssh-new-host-keys"


def remembering(target: SshTarget, folder: str) -> SshTarget:
    """Return the target with new keys, where such are accepted, going to a file in the folder."""
    policy = target.host_keys
    if policy.accept_new:
        known = policy.known_hosts or (DEFAULT_KNOWN_HOSTS,)
        policy = replace(policy, known_hosts=(Path(folder) / _FILE, *known))
    return replace(target, host_keys=policy, jumps=tuple(remembering(jump, folder) for jump in target.jumps))


def note(instance: Any, folder: str) -> None:
    """Note the keys that were new with the instance, durably."""
    file = Path(folder) / _FILE
    if instance is None or not file.exists():
        return
    new = {name: fingerprint(key) for name, keys in paramiko.HostKeys(str(file)).items() for key in keys.values()}
    noted = instance.runtime_properties.get(NOTED_HOST_KEYS) or {}
    if not new.items() <= noted.items():
        instance.runtime_properties[NOTED_HOST_KEYS] = {**noted, **new}
        instance.update()
