"""Taking the agent away: service, operations, files. Ends with a proof, not with a hope."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from . import services
from .errors import HostError
from .layout import SLICE, Layout
from .processes import end_processes


def uninstall(layout: Layout, *, grace_seconds: float) -> dict[str, Any]:
    """Remove everything of the agent and return what was ended and removed."""
    if services.state(layout) != "none":
        services.stop(layout)
    ended, living = end_processes(layout, grace_seconds=grace_seconds)
    if living:
        # The files stay, because what still runs uses them, and a second try must find it.
        raise HostError(
            "still-running",
            f"these processes of the agent could not be ended: {', '.join(map(str, living))}",
            "end them on the host (they may wait for a disk or a mount), then uninstall again",
        )
    services.remove(layout)
    removed = [str(path) for path in _own_paths(layout) if _remove(path)]
    _remove(layout.lock)  # ours, made for this very run: not worth a word
    _remove_empty_parents(layout)
    left = [str(path) for path in _own_paths(layout) if path.exists()]
    if left:
        raise HostError("not-removed", f"could not remove {', '.join(left)}", "remove it on the host by hand")
    return {"ended": ended, "removed": removed, "proof": _proof(layout)}


def _own_paths(layout: Layout) -> list[Path]:
    return [layout.agent, layout.config, layout.ca, layout.state]


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return True
    existed = path.exists()
    with contextlib.suppress(OSError):
        path.unlink()
    return existed


def _remove_empty_parents(layout: Layout) -> None:
    # /opt/outrider and /etc/outrider are ours; ~/.config and the like are ours only if we leave them empty.
    for path in (layout.agent.parent, layout.config.parent):
        with contextlib.suppress(OSError):
            path.rmdir()


def _proof(layout: Layout) -> str:
    """Say how it is known that nothing of the agent runs any more."""
    if layout.system:
        for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")):
            tasks = root / SLICE / "cgroup.procs"
            if tasks.exists() and tasks.read_text(encoding="ascii").split():
                raise HostError("still-running", f"{tasks} is not empty", "end these processes, then uninstall again")
    return "no process carries the agent's marker or paths"
