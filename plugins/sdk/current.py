"""Which operation this code runs in: the state behind `ctx`.

`execute` and the test harness push a scope; plugin code reads it through `ctx`, the facade through proxies of its own.
A scope belongs to the thread (or asyncio task) that pushed it, and `execute` also makes it the one of the whole
process, so that threads which an operation starts see `ctx` too.
"""

from __future__ import annotations

from contextvars import ContextVar

from outrider.plugins.sdk.errors import NotInContext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

    from outrider.plugins.sdk.context import Context


class Scope:
    """One operation call: its context and its inputs."""

    __slots__ = ("context", "parameters")

    def __init__(self, context: Any, parameters: Optional[Mapping[str, Any]] = None) -> None:
        self.context = context
        self.parameters: Mapping[str, Any] = {} if parameters is None else parameters


class CurrentScope:
    """The stack of scopes; there is one, `current`."""

    def __init__(self) -> None:
        self._of_thread: ContextVar[Optional[Scope]] = ContextVar("outrider_scope", default=None)
        self._of_process: Optional[Scope] = None
        #: Set by the compatible facade when a plugin imports it: makes from a context what operations that were
        #: written for that interface expect as their `ctx` argument.
        self.compatible_view: Optional[Callable[[Context], Any]] = None

        #: Set by the facade's workflow side: (context, inputs) → what a workflow function expects as its ``ctx``.
        self.begin_workflow: Optional[Callable[[Context, Mapping[str, Any]], Any]] = None

    def get(self) -> Scope:
        """Return the innermost scope. Raises `NotInContext`."""
        scope = self.peek()
        if scope is None:
            raise NotInContext(
                "ctx was used outside an operation; in a test, call the operation through outrider.plugins.sdk.testing"
            )
        return scope

    def peek(self) -> Optional[Scope]:
        """Return the innermost scope, or None outside an operation."""
        return self._of_thread.get() or self._of_process

    def set(self, scope: Optional[Scope]) -> None:
        """Make this the scope of the calling thread; None = none."""
        self._of_thread.set(scope)

    def set_for_process(self, scope: Optional[Scope]) -> None:
        """Make this the scope of every thread that has none of its own."""
        self._of_process = scope

    def push(self, scope: Scope) -> Pushed:
        """Return a context manager that makes this the scope of the calling thread, and then the former one again."""
        return Pushed(self, scope)


class Pushed:
    """A scope that lasts for a ``with`` block."""

    def __init__(self, owner: CurrentScope, scope: Scope) -> None:
        self._owner = owner
        self._scope = scope
        self._former: Optional[Scope] = None

    def __enter__(self) -> Scope:
        self._former = self._owner._of_thread.get()  # noqa: SLF001 - one mechanism in two classes
        self._owner.set(self._scope)
        return self._scope

    def __exit__(self, *_exc_info: object) -> None:
        self._owner.set(self._former)


current = CurrentScope()


class ContextProxy:
    """What `ctx` is: it looks up the current context at each access, so that it can be imported at a module's top."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(current.get().context, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(current.get().context, name, value)

    def __repr__(self) -> str:
        scope = current.peek()
        return "<ctx outside an operation>" if scope is None else f"<ctx of {scope.context!r}>"


if TYPE_CHECKING:
    ctx: Context
else:
    ctx = ContextProxy()
