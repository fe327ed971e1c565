"""The clock that leases go by, and the names of this machine and this boot."""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path


def boot_clock() -> float:
    """Return seconds since the boot, counting the time that the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def machine_id() -> str:
    """Return what tells this machine from others: hashed, since the original is meant to stay on the machine."""
    for candidate in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(candidate).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text:
            return hashlib.sha256(f"outrider:{text}".encode()).hexdigest()[:32]
    return f"{uuid.getnode():012x}"
