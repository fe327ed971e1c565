"""Exceptions that operations raise, and that this interface raises at them.

The three that decide an attempt's verdict are the SDK's own, so that an ``except`` clause catches both.
"""

from outrider_facade import missing_from

from outrider.plugins.sdk.errors import NonRecoverableError, OperationRetry, RecoverableError

__getattr__ = missing_from(__name__)


class HttpException(NonRecoverableError):
    """A file or an address answered with an error."""

    def __init__(self, url, code, message, causes=None, **kwargs):
        super().__init__(f"{code} {url} : {message}", causes=causes, **kwargs)
        self.url = url
        self.code = code
        self.message = message


class CommandExecutionError(RuntimeError):
    """A command ended with an error; carries its output."""

    def __init__(self, command, error=None):
        super().__init__(f"{command}: {error}" if error else str(command))
        self.command = command
        self.error = error


class CommandExecutionException(Exception):
    """A command ended with an error; carries its output."""

    def __init__(self, command, error, output, code):
        super().__init__(f"Command '{command}' executed with an error.\ncode: {code}\nerror: {error}\noutput: {output}")
        self.command = command
        self.error = error
        self.output = output
        self.code = code


class TimeoutException(Exception):
    """Something took longer than allowed."""


class ProcessExecutionError(RuntimeError):
    """An operation's process ended in an unexpected way."""

    def __init__(self, message, exception_type=None, tb=None):
        super().__init__(message)
        self.exception_type = exception_type
        self.tb = tb


class CloudifySerializationRetry(OperationRetry):
    """An operation waits for its turn among the instances of a node."""


class StopAgent(Exception):
    """Asks the agent to stop after the operation; agents of Outrider are stopped by their installer instead."""


class WorkflowFailed(Exception):
    """A workflow failed."""


class ExecutionCancelled(Exception):
    """The execution was cancelled."""


__all__ = [
    "CloudifySerializationRetry",
    "CommandExecutionError",
    "CommandExecutionException",
    "ExecutionCancelled",
    "HttpException",
    "NonRecoverableError",
    "OperationRetry",
    "ProcessExecutionError",
    "RecoverableError",
    "StopAgent",
    "TimeoutException",
    "WorkflowFailed",
]
