"""Runs one operation in this process, from the task's JSON to the result's JSON.

Called by the agent's child process and by `sdk.testing`. Never raises: whatever the operation does ends in a result.
"""

from __future__ import annotations

from outrider.plugins.sdk.calling import arguments_for, load_operation
from outrider.plugins.sdk.context import Context
from outrider.plugins.sdk.current import Scope, current
from outrider.plugins.sdk.errors import NonRecoverableError, OperationRetry, RecoverableError
from outrider.plugins.sdk.values import as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

    from outrider.plugins.sdk.channel import Channel
    from outrider.plugins.sdk.instance import Instance

SUCCEEDED, FAILED, RESCHEDULED, NEVER_STARTED = "succeeded", "failed", "rescheduled", "never_started"
#: The type of the error that a task which may only be resumed ends with; dispatchers know it by this name.
NOT_RESUMABLE = "NotResumable"


def execute(task: Mapping[str, Any], channel: Channel) -> dict[str, Any]:
    """Run the operation of `task`, the JSON form of `messaging.messages.OperationTask` with secrets filled in.

    Returns ``{"verdict": "succeeded" | "failed" | "rescheduled" | "never_started", "value": JSON, "error": None or
    {"type", "message", "traceback", "causes", "recoverable", "retry_after_seconds", "exit_code"}}``.

    A task that is marked ``only_if_resumable`` ends as `never_started` if its function is not declared so.

    Changed runtime properties are saved before this returns, also after a failure: what an operation made and noted
    must be known to the next try.
    """
    refused = _refusal(task) if task.get("only_if_resumable") else None
    if refused is not None:
        return {"verdict": NEVER_STARTED, "value": None, "proof": NEVER_STARTED, "error": refused}
    context = Context(task, channel)
    current.set_for_process(Scope(context))
    try:
        value, error = _call_and_save(task, context)
    finally:
        current.set_for_process(None)
        context.close()
    if error is None:
        return {"verdict": SUCCEEDED, "value": value, "error": None}
    if context.is_workflow:
        # What a workflow function did cannot be undone by calling it again; a person resumes the execution.
        return {"verdict": FAILED, "value": None, "error": {**describe(error), "recoverable": False}}
    verdict = RESCHEDULED if isinstance(error, OperationRetry) else FAILED
    return {"verdict": verdict, "value": None, "error": describe(error)}


def _refusal(task: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """Return why an operation that may have run before is not run again; None if it is declared resumable."""
    try:
        function = load_operation(task["operation"])
    except NonRecoverableError as error:
        return describe(error)
    if getattr(function, "resumable", False):
        return None
    return {
        "type": NOT_RESUMABLE,
        "message": f"{task['operation']} is not declared resumable, and nobody has decided that it may run again",
        "traceback": "",
        "causes": [],
        "recoverable": False,
        "retry_after_seconds": None,
        "exit_code": None,
    }


def _call_and_save(task: Mapping[str, Any], context: Context) -> tuple[Any, Optional[BaseException]]:
    value, error = None, None
    # An operation is foreign code: SystemExit and KeyboardInterrupt are its failures too, not this process's.
    try:
        value = _call(task, context)
    except BaseException as raised:  # noqa: BLE001 - see above
        error = raised
    for instance in context.modifiable_instances():
        error = _save(instance, context, failed_already=error)
    return value, error


def _save(
    instance: Instance, context: Context, *, failed_already: Optional[BaseException] = None
) -> Optional[BaseException]:
    """Save the runtime properties; return the attempt's first failure."""
    try:
        instance.update()
    except Exception as error:
        context.logger.exception("the runtime properties of %s are not saved", instance.id)
        return failed_already or error
    return failed_already


def _call(task: Mapping[str, Any], context: Context) -> Any:
    function = load_operation(task["operation"])
    if context.is_workflow:
        return _call_workflow(function, task, context)
    if context.resumed and not getattr(function, "resumable", False):
        # Whether an interrupted operation is tried again is the dispatcher's decision, or a person's; it was made.
        context.logger.warning("%s runs again after an interruption; it is not declared resumable", task["operation"])
    arguments = arguments_for(function, task.get("inputs") or {}, _context_argument(function, context))
    scope = Scope(context, {**arguments, "ctx": arguments.get("ctx", context)})
    current.set_for_process(scope)
    with current.push(scope):
        value = function(**arguments)
    if context.operation.pending_retry is not None:
        raise context.operation.pending_retry
    return as_json(value, what=f"the return value of {task['operation']}")


def _call_workflow(function: Callable[..., Any], task: Mapping[str, Any], context: Context) -> None:
    """Call a workflow function; its return value means nothing."""
    from importlib import import_module

    # The plugin need not import what makes its context.
    import_module("cloudify.workflows")
    if current.begin_workflow is None:
        raise NonRecoverableError("the cloudify interface that was found is not Outrider's: it cannot run workflows")
    inputs = task.get("inputs") or {}
    workflow = current.begin_workflow(context, inputs)
    function(**arguments_for(function, inputs, workflow))
    workflow.finish()


def _context_argument(function: Callable[..., Any], context: Context) -> Any:
    """Return what the function expects as `ctx`: the SDK's context, or the compatible facade's if it was imported."""
    if current.compatible_view is None or getattr(function, "outrider_operation", False):
        return context
    return current.compatible_view(context)


def describe(error: BaseException) -> dict[str, Any]:
    """Return the JSON form of an exception, as `messaging.messages.OperationError` has it."""
    return {
        "type": type(error).__name__,
        "message": _message_of(error),
        # A retry is a wish, not a failure: where it was made does not matter.
        "traceback": "" if isinstance(error, OperationRetry) else traceback_text(error),
        "causes": [_cause(cause) for cause in getattr(error, "causes", None) or ()],
        "recoverable": not isinstance(error, NonRecoverableError),
        "retry_after_seconds": _retry_after(error),
        "exit_code": _exit_code(error),
    }


def traceback_text(error: BaseException) -> str:
    """Format an exception as Python prints it, without the SDK's own frames at the top."""
    from traceback import format_exception  # slow to import, and most operations succeed

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
        frames = frames.tb_next
    return "".join(format_exception(type(error), error, frames))


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - a plugin's own __str__ must not hide that it failed
        return f"<its text cannot be made: {failure!r}>"


def _cause(cause: Mapping[str, Any]) -> dict[str, Any]:
    return {key: str(cause.get(key) or "") for key in ("type", "message", "traceback")}


def _exit_code(error: BaseException) -> Optional[int]:
    """Return the exit code that an error carries: that of a program which the operation ran."""
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _retry_after(error: BaseException) -> Optional[float]:
    if not isinstance(error, RecoverableError) or error.retry_after is None:
        return None
    try:
        return max(0.0, float(error.retry_after))
    except (TypeError, ValueError):
        return None
