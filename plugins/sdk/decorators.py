"""`@operation` marks a function as an operation; it never wraps it, so that the function stays callable as it is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol, TypeVar, overload

    Function = TypeVar("Function", bound=Callable[..., Any])

    class Operation(Protocol):
        """The two ways to use the decorator: bare, and with arguments."""

        @overload
        def __call__(self, function: Function) -> Function: ...
        @overload
        def __call__(self, *, resumable: bool = False) -> Callable[[Function], Function]: ...


def _operation(function: Any = None, *, resumable: bool = False) -> Any:
    """Mark an operation.

    `resumable` declares that it is idempotent: an attempt whose fate is unknown (its host died …) may then be
    tried again without asking a person.
    """

    def mark(target: Callable[..., Any]) -> Callable[..., Any]:
        target.resumable = resumable  # type: ignore[attr-defined]
        # Tells `execute` that the function wants the SDK's context as `ctx`, not the compatible facade's.
        target.outrider_operation = True  # type: ignore[attr-defined]
        return target

    return mark if function is None else mark(function)


operation: Operation = _operation
