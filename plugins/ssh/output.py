"""The input `hide_output`: which of a program's output is not to be logged."""

from __future__ import annotations

from enum import Flag
from typing import Any

from outrider.plugins.sdk import NonRecoverableError


class Shown(Flag):
    """What of a program's output goes to the log."""

    NOTHING = 0
    STDOUT = 1
    STDERR = 2
    ALL = 3


#: The ecosystem's groups → what they hide. Some are of messages that are never logged here.
_GROUPS = {
    "stdout": Shown.STDOUT,
    "out": Shown.STDOUT,
    "stderr": Shown.STDERR,
    "err": Shown.STDERR,
    "output": Shown.ALL,
    "both": Shown.ALL,
    "everything": Shown.ALL,
    **dict.fromkeys(("status", "aborts", "warnings", "running", "user", "commands"), Shown.NOTHING),
}


def shown(hide_output: Any) -> Shown:
    """Return what is to be shown: all but what the groups, or true for everything, hide."""
    if hide_output in (None, False):
        return Shown.ALL
    if hide_output is True:
        return Shown.NOTHING
    groups = [hide_output] if isinstance(hide_output, str) else list(hide_output)
    unknown = [group for group in groups if group not in _GROUPS]
    if unknown:
        raise NonRecoverableError(f"hide_output has no group {unknown[0]!r}; it has {', '.join(sorted(_GROUPS))}")
    hidden = Shown.NOTHING
    for group in groups:
        hidden |= _GROUPS[group]
    return Shown.ALL & ~hidden
