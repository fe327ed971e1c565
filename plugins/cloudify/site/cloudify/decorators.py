"""Decorators of operations and workflows: they set attributes and return the function itself, unwrapped.

Only a serial operation is wrapped, for it may have to wait.
"""

from outrider_facade import missing_from

__getattr__ = missing_from(__name__)


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


def serial_operation(func=None, threshold=0, workflows=None, states=None, **_ignored):
    """Mark an operation that waits for its turn among the instances of a node; see `outrider_facade.serial`."""

    def mark(function):
        from outrider_facade.serial import serial

        return serial(function, threshold=threshold, workflows=workflows, states=states)

    return mark if func is None else mark(func)
