"""What plugin code imports: `ctx`, `@operation`, and the errors that say how an attempt ends.

::

    from outrider.plugins.sdk import ctx, operation

    @operation
    def create(size, **_):
        ctx.logger.info("creating %s", ctx.instance.id)
        ctx.instance.runtime_properties["volume"] = make_volume(size)

Standard library only, Python 3.9+. It is copied to every host and imported in every operation's process, so it must be
quick to import: `typing` and `collections.abc` are imported for type checkers only (``TYPE_CHECKING = False`` is what
they take for true), `logging`, `inspect` and `traceback` where they are used.
"""

from outrider.plugins.sdk.current import ctx
from outrider.plugins.sdk.decorators import operation
from outrider.plugins.sdk.errors import (
    NonRecoverableError,
    NotInContext,
    NotJson,
    OperationRetry,
    RecoverableError,
    RenderError,
    RequestFailed,
    RequestNotSupported,
    ResourceNotFound,
)

__all__ = [
    "NonRecoverableError",
    "NotInContext",
    "NotJson",
    "OperationRetry",
    "RecoverableError",
    "RenderError",
    "RequestFailed",
    "RequestNotSupported",
    "ResourceNotFound",
    "ctx",
    "operation",
]
