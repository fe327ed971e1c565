"""What the host is: measured, not judged (`outrider.installer.checks` judges)."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

from . import marks, services
from .environment import installed_versions
from .layout import Layout

#: What an AMQP client says first; a broker answers it with a method frame (type 1).
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


def probe(layout: Layout, request: dict[str, Any]) -> dict[str, Any]:
    """Return the host's facts. `request["brokers"]`: addresses to reach, each with host, port, tls, ca_pem."""
    return {
        "python": {"executable": sys.executable, "version": platform.python_version()},
        "os": _release(),
        "machine": platform.machine(),
        "libc": libc(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "uid": os.geteuid(),
        "mode": layout.mode,
        "paths": {"state": str(layout.state), "config": str(layout.config), "ca": str(layout.ca)},
        "hostname": socket.gethostname(),
        "machine_id": _text("/etc/machine-id"),
        "clock": time.time(),
        "disk": {str(path): _free(path) for path in (layout.agent, layout.state, layout.config.parent)},
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "services": services.available(layout),
        "cgroup": _cgroup(),
        "brokers": [
            _reach(broker, request.get("broker_timeout_seconds", 5.0)) for broker in request.get("brokers", ())
        ],
        "installed": _installed(layout),
    }


def _release() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in _text(path).splitlines():
            key, _, value = line.partition("=")
            found.setdefault(key, value.strip('"'))
    return {
        "id": found.get("ID", "linux"),
        "version": found.get("VERSION_ID", ""),
        "name": found.get("PRETTY_NAME", "Linux"),
        "kernel": platform.release(),
    }


def libc() -> dict[str, str]:
    name, version = platform.libc_ver()
    if name:
        return {"name": name, "version": version}
    # platform knows glibc only; musl's loader tells its version when it is called without arguments.
    for loader in Path("/lib").glob("ld-musl-*.so.1"):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            answer = subprocess.run([str(loader)], capture_output=True, text=True, timeout=5, check=False)
            for line in answer.stderr.splitlines():
                if line.startswith("Version "):
                    return {"name": "musl", "version": line.split()[1]}
    return {"name": "", "version": ""}


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _free(path: Path) -> dict[str, Any]:
    """Return the space for files below a folder, and whether this user may write there."""
    existing = path
    while not existing.exists():
        existing = existing.parent
    return {
        "free_bytes": shutil.disk_usage(existing).free,
        "writable": os.access(existing, os.W_OK | os.X_OK),
        "folder": str(existing),
    }


def _cgroup() -> str:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "v2"
    return "v1" if Path("/sys/fs/cgroup").is_dir() else "none"


def _installed(layout: Layout) -> dict[str, Any]:
    current = layout.current.readlink().name if layout.current.is_symlink() else None
    return {
        "current": current,
        "versions": installed_versions(layout),
        "agent_id": _agent_id(layout),
        "service": services.state(layout),
        "unproven": marks.unproven(layout),
    }


def _agent_id(layout: Layout) -> Optional[str]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in layout.config.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            # Written by us as a JSON string, which is also TOML; tomllib is missing on older Pythons.
            if key.strip() == "agent_id":
                return str(json.loads(value.strip()))
    return None


def _reach(broker: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    """Try to talk AMQP with a broker, as the agent will."""
    started = time.monotonic()
    answer: dict[str, Any] = {"host": broker["host"], "port": broker["port"], "ok": False, "error": ""}
    try:
        with contextlib.ExitStack() as stack:
            address = (broker["host"], broker["port"])
            stream = stack.enter_context(socket.create_connection(address, timeout=timeout_seconds))
            if broker.get("tls"):
                context = ssl.create_default_context(cadata=broker.get("ca_pem") or None)
                stream = stack.enter_context(context.wrap_socket(stream, server_hostname=broker["host"]))
            stream.settimeout(timeout_seconds)
            stream.sendall(AMQP_HEADER)
            answer["ok"] = stream.recv(1) == b"\x01"
            answer["error"] = "" if answer["ok"] else "something answers there that does not speak AMQP 0-9-1"
    except socket.gaierror as error:
        answer["error"] = f"its name cannot be resolved: {error.strerror}"
    except socket.timeout:
        answer["error"] = f"no answer within {timeout_seconds:g} s"
    except ssl.SSLError as error:
        answer["error"] = f"TLS failed: {error.reason or error}"
    except OSError as error:
        answer["error"] = (error.strerror or str(error)).lower()
    answer["seconds"] = round(time.monotonic() - started, 3)
    return answer
