"""Runs a Python script inside the operation's process, where it can use `ctx` as an object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outrider.plugins.script.errors import ProcessException, ScriptException
from outrider.plugins.sdk.current import Scope, current


def evaluate_script(script: Path, *, ctx: Any, inputs: Mapping[str, Any]) -> None:
    """Run the script as ``__main__`` with globals of its own.

    Whatever it raises passes through, with two exceptions: what `abort_operation` and `retry_operation` raise to end
    the script was noted already, and ``sys.exit(0)`` is an ordinary end. Another exit code is a `ProcessException`.
    """
    code = compile(script.read_bytes(), str(script), "exec")
    namespace = {"__name__": "__main__", "__file__": str(script), "__builtins__": __builtins__}
    scope = current.peek()
    context = ctx if scope is None else scope.context
    with current.push(Scope(context, {**inputs, "ctx": ctx})):
        try:
            exec(code, namespace)  # noqa: S102 - running the blueprint's script is what this is for
        except ScriptException:
            return
        except SystemExit as exit_request:
            if exit_request.code not in (None, 0):
                raise _failure(script, exit_request) from exit_request


def _failure(script: Path, exit_request: SystemExit) -> ProcessException:
    code = exit_request.code
    if isinstance(code, int):
        return ProcessException(script.name, code)
    return ProcessException(script.name, 1, stderr=str(code))
