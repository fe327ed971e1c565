"""What the workflow side has in common: plugins import it at the top of modules whose operations never use it."""

from outrider.plugins.sdk.errors import NonRecoverableError, NotInContext


class NotInWorkflow(NotInContext):
    """The workflow context was used outside a workflow."""


def not_provided(module, name):
    """Return a function of that name that says, when called, that it is not provided here."""

    def refuse(*_args, **_kwargs):
        raise NonRecoverableError(f"{module}.{name} is not provided by Outrider's cloudify interface")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__module__ = module
    return refuse


class CurrentWorkflow:
    """Which workflow this thread runs, if any."""

    def __init__(self):
        from contextvars import ContextVar

        self._current = ContextVar("outrider_workflow", default=None)
        self._of_process = None

    def begin(self, sdk_context, parameters):
        """Make the context of the workflow function that this process runs, for all its threads; return it."""
        from cloudify.state import AttributeDict

        from outrider_facade.workflow.context import WorkflowContext

        context = WorkflowContext(sdk_context)
        self._of_process = (context, AttributeDict(parameters))
        return context

    def set(self, ctx, parameters=None):
        """Make this the workflow context of the calling thread."""
        self._current.set((ctx, parameters or {}))

    def clear(self):
        """Leave the calling thread without a workflow context."""
        self._current.set(None)

    def get_ctx(self):
        """Return the workflow context. Raises `NotInWorkflow`."""
        return self._get()[0]

    def get_parameters(self):
        """Return the workflow's parameters. Raises `NotInWorkflow`."""
        return self._get()[1]

    def _get(self):
        current = self._current.get() or self._of_process
        if current is None:
            raise NotInWorkflow("cloudify.workflows.ctx was used outside a workflow")
        return current


current_workflow = CurrentWorkflow()
