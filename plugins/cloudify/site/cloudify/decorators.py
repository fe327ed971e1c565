"""Decorators of operations and workflows: they set attributes and return the function itself, unwrapped."""

from outrider.plugins.sdk.errors import NonRecoverableError


def operation(func=None, resumable=False, **_ignored):
    """Mark an operation; usable bare, with arguments, and as a plain function. Other arguments are ignored."""

    def mark(function):
        function.resumable = resumable
        return function

    return mark if func is None else mark(func)


def workflow(func=None, system_wide=False, resumable=False, **_ignored):
    """Mark a workflow."""

    def mark(function):
        function.workflow_system_wide = system_wide
        function.resumable = resumable
        return function

    return mark if func is None else mark(func)


def serial_operation(func=None, **_settings):
    """Mark an operation that would wait for its turn among the instances of a node, by asking the manager.

    That is not provided; the plugin can be imported, and such an operation says so when it is called.
    """

    def mark(function):
        def refuse(*_args, **_kwargs):
            raise NonRecoverableError(
                f"{function.__name__} is a serial_operation, which Outrider's cloudify interface does not provide"
            )

        refuse.__name__, refuse.__module__ = function.__name__, function.__module__
        return refuse

    return mark if func is None else mark(func)
