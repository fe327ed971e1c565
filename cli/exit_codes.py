"""What the command's exit code tells a job that calls it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `outrider`; 2 is also what the argument parser uses."""

    #: Done, and it went well.
    SUCCESS = 0
    #: The execution or the operation failed, or stopped because a person has to decide (`outrider execution why ID`).
    FAILED = 1
    #: The arguments, a blueprint, an archive or the configuration are not usable; nothing was started.
    BAD_INPUT = 2
    #: The execution was cancelled.
    CANCELLED = 3
    #: The store, the broker or the manager cannot be reached.
    UNAVAILABLE = 5
