"""Where tasks stand, by name; `tasks` stores them."""

from __future__ import annotations

from enum import Enum


class TaskState(str, Enum):
    """Where a task stands; what its current attempt does is in the attempt."""

    PENDING = "pending"
    #: An attempt is open.
    SENDING = "sending"
    #: Waits for the time of its next attempt.
    RESCHEDULED = "rescheduled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: A person decided that it is not needed.
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    #: Its subgraph was replaced by a recovery.
    SUPERSEDED = "superseded"


#: What dependents wait for.
DONE = frozenset({TaskState.SUCCEEDED, TaskState.SKIPPED, TaskState.SUPERSEDED})
