"""Cancellation, as workflow code asks for it."""

EXECUTION_CANCELLED_RESULT = "execution_cancelled"

#: Functions that are called when a cancel is requested.
cancel_callbacks = set()
cancel_request = False
kill_request = False


class ExecutionCancelled(Exception):
    """The execution was cancelled."""


def has_cancel_request():
    """Say whether the execution is to be cancelled."""
    return cancel_request


def has_kill_request():
    """Say whether the execution is to be killed."""
    return kill_request
