"""What must be known of a change that was cut in the middle: two small files beside the versions.

Written before what they tell of is done, and removed after. A line that breaks, or an installer that dies, leaves them
for the next run. They need not outlive a power cut: the agent is started anew by that.
"""

from __future__ import annotations

import contextlib
import json
from typing import Optional

from .files import make_folder, write_atomic
from .layout import Layout

#: The active version was switched to by an upgrade, and nobody has said yet that it works.
UNPROVEN = "unproven.json"
#: The version, the configuration or the service may be newer than the process that runs.
STALE = "stale"


def expect_proof(layout: Layout, version: str, *, fallback: str) -> None:
    """Note that a version is not known to work, and which one to go back to."""
    write_atomic(layout.agent / UNPROVEN, json.dumps({"version": version, "before": fallback}), mode=0o644)


def unproven(layout: Layout) -> Optional[dict[str, str]]:
    """Return the version that waits for its proof, and the one before it, if that is the active one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads((layout.agent / UNPROVEN).read_text(encoding="utf-8"))
        if layout.current.is_symlink() and layout.current.readlink().name == noted["version"]:
            return {"version": str(noted["version"]), "before": str(noted["before"])}
    return None


def proven(layout: Layout) -> None:
    """Forget that there was a proof to wait for."""
    (layout.agent / UNPROVEN).unlink(missing_ok=True)


def expect_start(layout: Layout) -> None:
    """Note that the agent has to be started anew for what is changed now."""
    make_folder(layout.agent)
    write_atomic(layout.agent / STALE, "", mode=0o644)


def is_stale(layout: Layout) -> bool:
    """Tell whether something was changed of which the running agent may not know."""
    return (layout.agent / STALE).exists()


def started(layout: Layout) -> None:
    """Note that the agent runs what is there."""
    (layout.agent / STALE).unlink(missing_ok=True)
