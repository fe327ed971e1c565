"""`ctx`, `ctx_parameters` and `current_ctx`: which operation this code runs in. The state itself is the SDK's."""

from outrider_facade import missing_from

from outrider.plugins.sdk.current import Scope, current
from outrider.plugins.sdk.errors import NotInContext

__all__ = ["AttributeDict", "NotInContext", "ctx", "ctx_parameters", "current_ctx"]


class AttributeDict(dict):
    """Parameters: a dict whose items are attributes too; a missing one raises KeyError."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name, value):
        self[name] = value


def view_of(context):
    """Return the context as this interface shows it; one object per SDK context."""
    if not getattr(type(context), "is_sdk_context", False):
        return context
    view = context.__dict__.get("cloudify_view")
    if view is None:
        from cloudify.context import CloudifyContext  # costs nothing to plugins that only name `ctx`

        view = context.__dict__["cloudify_view"] = CloudifyContext.of(context)
    return view


# Operations that were written for this interface get their `ctx` argument in this form.
current.compatible_view = view_of


class CurrentContext:
    """Sets and tells the current context; tests of plugins use it a lot."""

    def set(self, ctx, parameters=None):
        """Make this the context of the calling thread."""
        current.set(Scope(ctx, parameters))

    def clear(self):
        """Leave the calling thread without a context of its own."""
        current.set(None)

    def push(self, ctx, parameters=None):
        """Return a context manager that sets the context for a block."""
        return _PushedContext(current.push(Scope(ctx, parameters)), ctx)

    def get_ctx(self):
        """Return the current context. Raises `NotInContext`."""
        return view_of(current.get().context)

    def get_parameters(self):
        """Return the inputs of the operation. Raises `NotInContext`."""
        parameters = current.get().parameters
        return parameters if isinstance(parameters, AttributeDict) else AttributeDict(parameters)


class _PushedContext:
    def __init__(self, pushed, ctx):
        self._pushed = pushed
        self._ctx = ctx

    def __enter__(self):
        self._pushed.__enter__()
        return self._ctx

    def __exit__(self, *exc_info):
        self._pushed.__exit__(*exc_info)


current_ctx = CurrentContext()


class Proxy:
    """Stands for an object that is looked up at each access."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup):
        object.__setattr__(self, "_lookup", lookup)

    def _get_current_object(self):
        return object.__getattribute__(self, "_lookup")()

    @property
    def __class__(self):
        """The class of the object behind, so that isinstance works; the proxy's own where there is none."""
        try:
            return type(self._get_current_object())
        except NotInContext:
            return Proxy

    def __getattr__(self, name):
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name, value):
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name):
        delattr(self._get_current_object(), name)

    def __getitem__(self, key):
        return self._get_current_object()[key]

    def __setitem__(self, key, value):
        self._get_current_object()[key] = value

    def __contains__(self, key):
        return key in self._get_current_object()

    def __iter__(self):
        return iter(self._get_current_object())

    def __len__(self):
        return len(self._get_current_object())

    def __bool__(self):
        try:
            return bool(self._get_current_object())
        except NotInContext:
            return False

    def __eq__(self, other):
        return self is other or self._get_current_object() == other

    def __hash__(self):
        return hash(self._get_current_object())

    def __repr__(self):
        try:
            return repr(self._get_current_object())
        except NotInContext:
            return "<nothing outside an operation>"


def __getattr__(name):
    """Give ``workflow_ctx`` and ``workflow_parameters`` without importing the workflow side for everybody (PEP 562)."""
    if name not in ("workflow_ctx", "workflow_parameters"):
        return _missing(name)
    from cloudify import workflows

    return getattr(workflows, name)


_missing = missing_from(__name__)


ctx = Proxy(current_ctx.get_ctx)
ctx_parameters = Proxy(current_ctx.get_parameters)
