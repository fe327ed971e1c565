"""States, constants and results of workflow tasks."""

from outrider_facade import missing_from

from cloudify.constants import (  # noqa: F401 - told from here, too
    TASK_FAILED,
    TASK_PENDING,
    TASK_RESCHEDULED,
    TASK_RESPONSE_SENT,
    TASK_SENDING,
    TASK_SENT,
    TASK_STARTED,
    TASK_SUCCEEDED,
    TERMINATED_STATES,
)

__getattr__ = missing_from(__name__)

INFINITE_TOTAL_RETRIES = -1
DEFAULT_TOTAL_RETRIES = INFINITE_TOTAL_RETRIES
DEFAULT_RETRY_INTERVAL = 30
DEFAULT_SUBGRAPH_TOTAL_RETRIES = 0
DEFAULT_SEND_TASK_EVENTS = True

DISPATCH_TASK = "cloudify.dispatch.dispatch"


def task_config(fn=None, **settings):
    """Mark a function for `ctx.local_task`: ``total_retries``, ``retry_interval`` … that its task gets."""

    def mark(function):
        function.workflow_task_config = settings
        return function

    return mark if fn is None else mark(fn)


class HandlerResult:
    """What a task's handler decides."""

    HANDLER_RETRY = "handler_retry"
    HANDLER_FAIL = "handler_fail"
    HANDLER_IGNORE = "handler_ignore"
    HANDLER_CONTINUE = "handler_continue"

    def __init__(self, action, ignore_total_retries=False, retry_after=None):
        self.action = action
        self.ignore_total_retries = ignore_total_retries
        self.retry_after = retry_after
        self.retried_task = None

    @classmethod
    def retry(cls, ignore_total_retries=False, retry_after=None):
        """Try the task again."""
        return cls(cls.HANDLER_RETRY, ignore_total_retries, retry_after)

    @classmethod
    def fail(cls):
        """Let the workflow fail."""
        return cls(cls.HANDLER_FAIL)

    @classmethod
    def cont(cls):
        """Go on."""
        return cls(cls.HANDLER_CONTINUE)

    @classmethod
    def ignore(cls):
        """Go on in spite of the failure."""
        return cls(cls.HANDLER_IGNORE)
