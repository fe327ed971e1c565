"""Decorators of operations and workflows: they set attributes and return the function itself, unwrapped."""


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


def serial_operation(**_settings):
    """Refuse: operations that wait for each other by asking the manager are not provided."""
    raise NotImplementedError(
        "cloudify.decorators.serial_operation is not provided: let the dispatcher order the instances of a node"
    )
