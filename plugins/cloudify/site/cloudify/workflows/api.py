"""Cancellation, as workflow code asks for it."""

from outrider_facade import missing_from

__getattr__ = missing_from(__name__)

EXECUTION_CANCELLED_RESULT = "execution_cancelled"

#: Functions that are called when a cancel is requested.
cancel_callbacks = set()
cancel_request = False
kill_request = False


class ExecutionCancelled(Exception):
    """The execution was cancelled."""


def has_cancel_request():
    """Say whether the execution is to be cancelled."""
    return cancel_request or _cancel_kind() is not None


def has_kill_request():
    """Say whether the execution is to be killed."""
    return kill_request or _cancel_kind() == "kill"


def _cancel_kind():
    from outrider_facade.workflows import NotInWorkflow, current_workflow

    try:
        return current_workflow.get_ctx().talk.cancel_kind()
    except (NotInWorkflow, AttributeError):
        # An operation, or a plugin's test with a context of its own making.
        return None
