"""pika's exceptions, translated: the one boundary between its errors and ours."""

from __future__ import annotations

from typing import Any

from pika import exceptions as pika_errors
from pika.adapters.utils import connection_workflow

from outrider.messaging.errors import ConnectFailed, TopologyMismatch, TransportError

_ACCESS_REFUSED = 403
#: Codes with which a broker closes a channel over what it was asked to find or to make.
_MISMATCH = {404: "is missing", 405: "is in use by another connection"}
_PRECONDITION_FAILED = 406
#: What the broker's text has if the condition was that something has the arguments that it is declared with.
_OTHER_ARGUMENTS = "inequivalent arg"
_REFUSALS = (
    pika_errors.AuthenticationError,
    pika_errors.ProbableAuthenticationError,
    pika_errors.ProbableAccessDeniedError,
)


def root_cause(error: BaseException) -> BaseException:
    """Return what really happened: pika wraps a connection's failure several times."""
    inner: Any = None
    if isinstance(error, connection_workflow.AMQPConnectionWorkflowFailed):
        inner = error.exceptions[-1]
    elif isinstance(error, connection_workflow.AMQPConnectorPhaseErrorBase):
        inner = error.exception
    elif type(error) is pika_errors.AMQPConnectionError and error.args:
        inner = error.args[0]
    return root_cause(inner) if isinstance(inner, BaseException) else error


def refused(error: BaseException) -> bool:
    """Whether the broker answered and does not want us: trying again soon is of little use."""
    cause = root_cause(error)
    not_allowed = 530
    return isinstance(cause, _REFUSALS) or (
        isinstance(cause, pika_errors.ConnectionClosedByBroker) and cause.reply_code == not_allowed
    )


def describe(error: BaseException) -> str:
    """Return a connection's failure in words for an operator."""
    cause = root_cause(error)
    if isinstance(cause, (pika_errors.AuthenticationError, pika_errors.ProbableAuthenticationError)):
        return "the broker refused the account or its password"
    if isinstance(cause, pika_errors.ProbableAccessDeniedError):
        return "the account may not enter the virtual host, or there is no such virtual host"
    if isinstance(cause, pika_errors.ChannelClosedByClient):
        return str(cause.reply_text)
    if isinstance(cause, pika_errors.ConnectionClosed):
        return f"closed with {cause.reply_code} {cause.reply_text}"
    if isinstance(cause, connection_workflow.AMQPConnectorStackTimeout):
        return "timed out"
    if isinstance(cause, pika_errors.ConnectionBlockedTimeout):
        return "the broker refused to read for too long (out of memory or disk?)"
    if isinstance(cause, pika_errors.StreamLostError):
        return "the connection was lost"
    return str(cause) or type(cause).__name__


def channel_failure(reason: BaseException, *, what: str) -> TransportError:
    """Return our error for a channel that was closed while we asked for `what`."""
    if isinstance(reason, pika_errors.ChannelClosedByBroker):
        if reason.reply_code in _MISMATCH:
            return TopologyMismatch(f"{what}: something {_MISMATCH[reason.reply_code]}: {reason.reply_text}")
        if reason.reply_code == _PRECONDITION_FAILED and _OTHER_ARGUMENTS in reason.reply_text:
            return TopologyMismatch(f"{what}: something exists with other arguments: {reason.reply_text}")
        if reason.reply_code == _ACCESS_REFUSED:
            return TransportError(f"{what}: the account lacks a permission: {reason.reply_text}")
        return TransportError(f"{what}: the broker answered {reason.reply_code} {reason.reply_text}")
    return ConnectFailed(f"{what}: {describe(reason)}")
