"""ansible-core on the same hosts, by the same key: ad-hoc commands, and a playbook that puts the agent there.

It has an environment of its own below ``.ci/cache/ansible``, made once, and the settings that make it fast: as many
forks as hosts, pipelining, connections that stay open, the interpreter named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import note
from outrider.installer.bundle import HostBundle
from outrider.installer.onhost.layout import system_layout
from outrider.installer.onhost.systemd import unit_text
from tests.support.hosts import Host

PEER = "ansible-core==2.19.14"
CACHE = Path(__file__).resolve().parents[2] / ".ci" / "cache" / "ansible"
LIMIT_SECONDS = 600.0

#: Copy the bundle, install it with the program that our installer uses on the host, start the unit: what Outrider does
#: there, said in Ansible. `service` waits for the unit to be ready; nothing waits for a heartbeat.
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "ansible.builtin.file": {"path": "{{ item.path }}", "state": "directory", "mode": "{{ item.mode }}"},
                "loop": [
                    {"path": "/root/.cache/outrider-install", "mode": "0700"},
                    {"path": "/etc/outrider", "mode": "0755"},
                    {"path": "/var/lib/outrider", "mode": "0700"},
                ],
            },
            {
                "ansible.builtin.copy": {
                    "src": "{{ item }}",
                    "dest": "/root/.cache/outrider-install/{{ item | basename }}",
                },
                "loop": ["{{ bundle }}", "{{ program }}"],
            },
            {
                "ansible.builtin.command": {
                    "cmd": "python3 -I /root/.cache/outrider-install/{{ program | basename }} environment",
                    "stdin": "{{ request | to_json }}",
                }
            },
            {
                "ansible.builtin.file": {
                    "src": "versions/{{ request.name }}",
                    "path": "/opt/outrider/agent/current",
                    "state": "link",
                }
            },
            {"ansible.builtin.copy": {"content": "{{ config }}", "dest": "/etc/outrider/agent.toml", "mode": "0600"}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ unit }}",
                    "dest": "/etc/systemd/system/outrider-agent.service",
                    "mode": "0644",
                }
            },
            {
                "ansible.builtin.systemd_service": {
                    "name": "outrider-agent",
                    "daemon_reload": True,
                    "enabled": True,
                    "state": "started",
                }
            },
            {"ansible.builtin.file": {"path": "/root/.cache/outrider-install", "state": "absent"}},
        ],
    }
]


class AnsiblePeer:
    """Ansible with an inventory of hosts; each call is one process, as a person starts it."""

    def __init__(self, hosts: Sequence[Host], folder: Path) -> None:
        self._folder = folder
        self._programs = _prepare()
        known = folder / "known_hosts"
        keys = {host.address: host.host_key() for host in hosts}
        known.write_text(
            "".join(f"{name} {key.get_name()} {key.get_base64()}\n" for name, key in keys.items()), encoding="utf-8"
        )
        self._inventory = folder / "inventory"
        self._inventory.write_text("\n".join(keys) + "\n", encoding="utf-8")
        self._environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(folder / "none.cfg"),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_FORKS": str(len(hosts)),
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_REMOTE_USER": "root",
            "ANSIBLE_PRIVATE_KEY_FILE": str(hosts[0].private_key),
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        }

    def command(self, *, module: str = "command") -> float:
        """Run ``true`` on all hosts; returns the seconds."""
        return self._run("ansible", "all", "-m", module, "-a", "true")

    def install(self, bundle: HostBundle, program: bytes, configurations: dict[str, str]) -> float:
        """Put the agent on all hosts (address → its configuration file's text) and start it; returns the seconds."""
        (self._folder / bundle.filename).write_bytes(bundle.data)
        (self._folder / "host.pyz").write_bytes(program)
        (self._folder / "install.yml").write_text(json.dumps(PLAYBOOK), encoding="utf-8")
        variables = {
            "bundle": str(self._folder / bundle.filename),
            "program": str(self._folder / "host.pyz"),
            "unit": unit_text(system_layout()),
            "request": {
                "archive": f"/root/.cache/outrider-install/{bundle.filename}",
                "sha256": bundle.sha256,
                "name": bundle.version,
            },
        }
        inventory = {"all": {"hosts": {name: {"config": text} for name, text in configurations.items()}}}
        path = self._folder / "inventory.json"
        path.write_text(json.dumps(inventory), encoding="utf-8")
        arguments = ["-e", json.dumps(variables), str(self._folder / "install.yml")]
        return self._run("ansible-playbook", *arguments, inventory=path)

    def close(self) -> None:
        """End the connections that Ansible left open for its next process."""
        for path in (self._folder / "cp").glob("*"):
            command = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "any"]
            subprocess.run(command, capture_output=True, timeout=30, check=False)

    def _run(self, program: str, *arguments: str, inventory: Path | None = None) -> float:
        command = [str(self._programs / program), "-i", str(inventory or self._inventory), *arguments]
        began = time.perf_counter()
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return seconds


def _prepare() -> Path:
    """Return the folder of Ansible's programs; its environment is made once."""
    marker = CACHE / "ready"
    if not marker.exists():
        note(f"making an environment for {PEER}")
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True, timeout=120)
        subprocess.run([CACHE / "venv" / "bin" / "python", "-m", "pip", "install", "-q", PEER], check=True, timeout=600)
        marker.touch()
    return CACHE / "venv" / "bin"
