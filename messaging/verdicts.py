"""How attempts end, and how that is known: words of the messages, of the store and of the agent's journal.

Apart from `messages`, whose many classes take long to make: commands that only look at results need these alone.
"""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """How an attempt ended, or what is known of it."""

    SUCCEEDED = "succeeded"
    #: Ran and raised, or was refused for a reason that a new try will not mend unless the error is recoverable.
    FAILED = "failed"
    #: Ran and asked to be tried again later.
    RESCHEDULED = "rescheduled"
    #: Stopped by a cancel; its process tree is proven empty.
    CANCELLED = "cancelled"
    #: Stopped because its time was over; its process tree is proven empty.
    TIMED_OUT = "timed_out"
    #: There is evidence that no line of the operation ran.
    NEVER_STARTED = "never_started"
    #: Contact was lost while it might have been running.
    MAY_HAVE_RUN = "may_have_run"
    #: It ran to its end, or was ended, and what it returned is not known.
    RESULT_LOST = "result_lost"
    #: A stop was asked for and its process tree could not be proven empty.
    NOT_CONFIRMED = "not_confirmed"


class Proof(str, Enum):
    """How an agent knows that no process of an attempt is left."""

    NEVER_STARTED = "never_started"
    CGROUP = "cgroup"
    SUBREAPER = "subreaper"
    REBOOT = "reboot"
    NONE = "none"
