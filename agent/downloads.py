"""What was fetched by hash stays for the next operation that needs it; here it goes when none did for long.

`runner.fetch` puts it there and notes each use in the file's time; the agent's housekeeping calls `collect`.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

#: Blueprints' resources, and wagons whose installation failed.
_FOLDERS = ("resources", "fetched")
#: A transfer is given up long before: whoever made it was killed.
_BROKEN_SECONDS = 86400.0


def collect(state_dir: Path, *, unused_seconds: float) -> None:
    """Remove what was not used for so long, and what is left of transfers that were cut."""
    now = time.time()
    for path in (each for name in _FOLDERS for each in (state_dir / name).rglob("*")):
        limit = min(_BROKEN_SECONDS, unused_seconds) if path.suffix == ".part" else unused_seconds
        with contextlib.suppress(OSError):
            if path.is_file() and now - path.stat().st_mtime > limit:
                path.unlink()
