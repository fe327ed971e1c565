"""How a script says how its operation ends: ``ctx returns``, ``ctx abort_operation``, ``ctx retry_operation``.

`tasks` hangs these functions on the context for the time of the script, as existing scripts expect them there.
"""

from __future__ import annotations

from typing import Any, Optional

from outrider.plugins.script.errors import IllegalContextUse, ScriptException
from outrider.plugins.sdk.errors import NonRecoverableError, OperationRetry


class ScriptOutcome:
    """What a script said about the operation's end; it may say it once."""

    def __init__(self) -> None:
        self._decided = False
        self._value: Any = None
        self._stopped: Optional[ScriptException] = None
        self._misused = False

    def attach(self, ctx: Any) -> None:
        """Hang the functions on a context."""
        ctx.returns = self.returns
        ctx.abort_operation = self.abort_operation
        ctx.retry_operation = self.retry_operation
        ctx.is_script_exception_defined = True
        ctx._return_value = None  # noqa: SLF001 - existing plugins read it

    @property
    def stopped(self) -> bool:
        """Whether the script asked to end the operation now."""
        return self._stopped is not None or self._misused

    def returns(self, value: Any = None) -> None:
        """Set the operation's return value."""
        self._decide()
        self._value = value

    def abort_operation(self, message: Optional[str] = None) -> None:
        """Fail the operation for good. Raises `ScriptException`, which ends a Python script."""
        self._decide()
        self._stopped = ScriptException(message)
        raise self._stopped

    def retry_operation(self, message: Optional[str] = None, retry_after: Any = None) -> None:
        """Ask to be called again. Raises `ScriptException`, which ends a Python script."""
        self._decide()
        self._stopped = ScriptException(message, retry=True, retry_after=_seconds(retry_after))
        raise self._stopped

    def conclude(self) -> Any:
        """Return the operation's value, or raise what the script asked for."""
        if self._misused:
            raise IllegalContextUse
        if self._stopped is None:
            return self._value
        if self._stopped.retry:
            raise OperationRetry(self._stopped.message or "", retry_after=self._stopped.retry_after)
        raise NonRecoverableError(self._stopped.message or "the script aborted the operation")

    def _decide(self) -> None:
        if self._decided:
            self._misused = True
            raise IllegalContextUse
        self._decided = True


def _seconds(value: Any) -> Optional[float]:
    """Return a number of seconds, also from the text that a shell script passes."""
    if value in (None, ""):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise NonRecoverableError(f"retry_operation needs a number of seconds as retry_after, not {value!r}") from None
