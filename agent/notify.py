"""Telling systemd how the service does (`sd_notify`): ready, alive, stopping. Does nothing without systemd."""

from __future__ import annotations

import contextlib
import os
import socket


class ServiceManager:
    """The service manager that started this process, if there is one."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            # An abstract socket.
            self._address = "\0" + self._address[1:]

    @property
    def watchdog_seconds(self) -> float:
        """How often a sign of life is due at least; 0 = none is expected."""
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return 0.0
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6

    def ready(self, status: str) -> None:
        """The service has started."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """The service does its work."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """The service is about to stop, and may need a while."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.connect(self._address)
            connection.sendall(text.encode())
