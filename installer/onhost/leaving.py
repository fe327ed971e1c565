"""The removal of an agent by itself: waits until its last word has arrived, then removes everything.

Started by the operation `stop` of `outrider.plugins.host`, in a process that outlives the agent.
"""

from __future__ import annotations

import time
from typing import Any

from .layout import Layout
from .removal import uninstall

#: How long the result of the operation that started this may be on its way: a broker may be away.
LAST_WORD_SECONDS = 600.0
_POLL_SECONDS = 0.2


def leave(layout: Layout, request: dict[str, Any]) -> dict[str, Any]:
    """Remove the agent once the broker has the result of an attempt: the agent keeps its folder until then."""
    folder = layout.state / "run" / str(request["attempt"])
    deadline = time.monotonic() + float(request.get("wait_seconds", LAST_WORD_SECONDS))
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return uninstall(layout, grace_seconds=10.0)
