"""Errors of running scripts.

Exception
├── ProcessException     the script ended with an error; a new try may succeed
└── ScriptException      the script called abort_operation or retry_operation and is to stop
NonRecoverableError
├── ScriptSettingsError  the operation's inputs do not say clearly what to run
├── ScriptNotFetched     the script's file cannot be fetched
└── IllegalContextUse    the script ended the operation twice
RecoverableError
└── ScriptServerAway     the server that has the script's file does not answer
"""

from __future__ import annotations

from outrider.plugins.sdk.errors import NonRecoverableError, RecoverableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class ProcessException(Exception):
    """The script's process ended with a non-zero exit code, or by a signal."""

    def __init__(
        self, command: str, exit_code: int, stdout: Optional[str] = None, stderr: Optional[str] = None
    ) -> None:
        how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
        last = (stderr or stdout or "").strip().splitlines()[-3:]
        said = f"; it said last: {' | '.join(last)}" if last else ""
        super().__init__(f"the script {command!r} ended {how}{said}")
        self.command = command
        self.exit_code = exit_code
        #: The last part of what it printed, if that was kept.
        self.stdout = stdout
        self.stderr = stderr


class ScriptException(Exception):
    """The script asked to end the operation: to abort it, or with `retry` to be called again."""

    def __init__(self, message: Optional[str] = None, retry: bool = False, retry_after: Optional[float] = None) -> None:  # noqa: FBT001, FBT002 - the ecosystem's signature
        super().__init__(message or "")
        self.message = message
        self.retry = retry
        self.retry_after = retry_after


class ScriptSettingsError(NonRecoverableError):
    """The operation's inputs do not say clearly what to run, or how."""


class ScriptNotFetched(NonRecoverableError):
    """The script's file cannot be fetched; the text names the address and the reason."""


class ScriptServerAway(RecoverableError):
    """The server that has the script's file does not answer, or says that it cannot now."""


class IllegalContextUse(NonRecoverableError):
    """The script called returns, abort_operation and retry_operation more than once."""

    def __init__(self, message: str = "ctx may only abort or return once") -> None:
        super().__init__(message)
