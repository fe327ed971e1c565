"""Finds the function of `run_task` and `run_module_task`.

Task files usually begin with ``from fabric import task``. The library itself is not needed: a module that has the
decorator alone stands in for it, where it is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any, Callable

from outrider.plugins.sdk import NonRecoverableError

_LIBRARIES = ("fabric", "fabric2", "invoke")


def function_of_file(file: Path, name: str) -> Callable[..., Any]:
    """Run a Python file and return one of its functions. Raises NonRecoverableError if it has none of this name."""
    _stand_in()
    module = types.ModuleType(file.stem)
    module.__file__ = str(file)
    exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102 - running the blueprint's file is what this is for
    return _function(module, name, where=file.name)


def function_of_module(mapping: str) -> Callable[..., Any]:
    """Return ``package.module.function``. Raises NonRecoverableError if there is none."""
    _stand_in()
    module_name, _, name = mapping.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise NonRecoverableError(f"task_mapping {mapping!r}: its module cannot be imported: {error}") from error
    return _function(module, name, where=module_name)


def _function(module: Any, name: str, *, where: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    # The library's own decorator makes an object that holds the function.
    function = getattr(found, "body", found)
    if not callable(function):
        have = sorted(each for each, value in vars(module).items() if callable(value) and not each.startswith("_"))
        raise NonRecoverableError(f"{where} has no function {name!r}; it has {', '.join(have) or 'none'}")
    return function  # type: ignore[no-any-return]  # callable() narrows to Callable[..., object]


def _task(*arguments: Any, **_: Any) -> Any:
    """Do what ``@task`` and ``@task(…)`` do: nothing."""
    if len(arguments) == 1 and callable(arguments[0]):
        return arguments[0]
    return lambda function: function


def _stand_in() -> None:
    for name in _LIBRARIES:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            module = types.ModuleType(name, "Stands in for a library that is not installed: it has `task` alone.")
            module.task = _task  # type: ignore[attr-defined]
            sys.modules[name] = module
