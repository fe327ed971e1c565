"""The last lines that the agent's process logged, kept in memory: told over the control queue to who asks.

The service manager has the whole log; this part of it needs no way into the host.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from outrider.messaging.messages import ControlRequest

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_KEPT_LINES = 1000
#: If nobody says how many.
_TOLD_LINES = 50
#: A traceback of a plugin may be of any length.
_LONGEST = 4000


class RecentLog(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.setFormatter(logging.Formatter(FORMAT))

    @classmethod
    def attached(cls) -> RecentLog:
        """Return one that hears everything this process logs from now on."""
        made = cls()
        logging.getLogger().addHandler(made)
        return made

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; called by the logging library, under the handler's lock."""
        try:
            self._lines.append(self.format(record)[:_LONGEST])
        except Exception:  # noqa: BLE001 - a record that cannot be formatted is the logging library's to report
            self.handleError(record)

    def answer(self, request: ControlRequest) -> dict[str, Any]:
        """Answer the control request `logs`."""
        return {"lines": self.last(int(request.payload.get("lines", _TOLD_LINES)))}

    def last(self, count: int) -> list[str]:
        """Return the last `count` records, oldest first."""
        self.acquire()
        try:
            lines = list(self._lines)
        finally:
            self.release()
        return lines[-count:] if count > 0 else []
