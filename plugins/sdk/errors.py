"""Errors of the SDK: what an operation raises to say how its attempt ends, and what the SDK raises at it.

NonRecoverableError         the attempt failed and a new try would fail as well
├── ResourceNotFound        the blueprint has no such resource
├── RenderError             a template cannot be rendered
└── NotJson                 a value that must travel is not JSON
RecoverableError            the attempt failed; a new try may succeed
└── OperationRetry          nothing failed: call the operation again later
RequestFailed               a question to the dispatcher was not answered
└── RequestNotSupported     nobody answers questions of this kind
NotInContext                `ctx` was used outside an operation (also a RuntimeError and an AttributeError)

Any other exception of an operation counts as recoverable.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Optional


class NonRecoverableError(Exception):
    """The operation failed, and trying again would not help.

    `causes` are mappings ``{"type", "message", "traceback"}`` of what led here; they are shown with the failure.
    """

    def __init__(self, *args: object, causes: Optional[Iterable[Mapping[str, Any]]] = None) -> None:
        super().__init__(*args)
        self.causes = list(causes or ())


class ResourceNotFound(NonRecoverableError):
    """The blueprint has no resource with this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the blueprint has no resource {path!r}; paths are relative to the blueprint's folder")
        self.path = path


class RenderError(NonRecoverableError):
    """A template cannot be rendered; the text names the template, the place and the reason."""


class NotJson(NonRecoverableError):
    """A return value or a runtime property is not JSON; the text names it and its type."""


class RecoverableError(Exception):
    """The operation failed, and a new try may succeed.

    `retry_after` is the number of seconds to wait before that try; None leaves it to the dispatcher's settings.
    """

    def __init__(
        self,
        message: str = "",
        retry_after: Optional[float] = None,
        causes: Optional[Iterable[Mapping[str, Any]]] = None,
    ) -> None:
        # Concatenated, not formatted: existing plugins rely on a TypeError when `message` is None here.
        super().__init__(message if retry_after is None else message + f" [retry_after={retry_after}]")
        self.retry_after = retry_after
        self.causes = list(causes or ())


class OperationRetry(RecoverableError):
    """The operation is not finished (a machine is still booting …): call it again after `retry_after` seconds."""


class RequestFailed(Exception):
    """A question to the dispatcher was not answered in time, or was refused; the text says by whom and why."""


class RequestNotSupported(RequestFailed):
    """Nobody answers questions of this kind where the operation runs."""


class NotInContext(RuntimeError, AttributeError):
    """`ctx` was used where no operation is running.

    It is a RuntimeError because existing plugins expect one, and an AttributeError so that ``hasattr(ctx, …)``
    and the libraries that probe objects that way (mock, doctest) work outside an operation.
    """
