"""Tells a mistake in an operation's name from an error in the plugin, and names what there is instead.

For `bench`, where a person has typed the name, and for `calling`, where a blueprint has it. It is asked after the
operation could not be loaded, and executes none of the plugin's code: what its modules do when they are imported, they
have done.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Optional

#: How many names are listed where none is near.
_MOST_NAMES = 12


def misnamed(operation: str) -> Optional[str]:
    """Return what is wrong with the name ``module.function``; None if it names something, which could not be loaded."""
    *modules, function = operation.split(".")
    if not modules or not all(part.isidentifier() for part in (*modules, function)):
        return f"the operation {operation!r} does not have the form module.function"
    package: Optional[ModuleType] = None
    for depth, name in enumerate(modules, start=1):
        wanted = ".".join(modules[:depth])
        if wanted not in sys.modules:
            return _no_module(package, name) if _is_nowhere(wanted, package) else None
        package = sys.modules[wanted]
    return None if package is None or callable(getattr(package, function, None)) else _no_function(package, function)


def _is_nowhere(wanted: str, package: Optional[ModuleType]) -> bool:
    """Return whether no module of that name can be found; the package that it would be in is imported."""
    return (package is not None and not hasattr(package, "__path__")) or find_spec(wanted) is None


def _no_module(package: Optional[ModuleType], name: str) -> str:
    if package is None:
        environment = sysconfig.get_path("purelib")
        # Any module may be meant; to list, there are those of the environment.
        known = [each.name for each in iter_modules()]
        there = _there(name, known, otherwise=[each.name for each in iter_modules([environment])])
        return f"there is no module {name!r} in the plugin's environment ({environment}); {there}"
    if not hasattr(package, "__path__"):
        return f"{_described(package)} has no modules in it, so no {name!r}; an operation is named module.function"
    there = _there(name, [each.name for each in iter_modules(package.__path__)])
    return f"{_described(package)} has no module {name!r}; {there}"


def _no_function(module: ModuleType, function: str) -> str:
    if hasattr(module, function):
        kind = type(getattr(module, function)).__name__
        return f"{function!r} of {_described(module)} is of the type {kind}, not a function"
    # Its own functions; what it has imported is rarely meant, and not listed then.
    callables = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    own = [name for name, value in callables.items() if getattr(value, "__module__", None) == module.__name__]
    return f"{_described(module)} has no function {function!r}; {_there(function, callables, otherwise=own)}"


def _described(module: ModuleType) -> str:
    place = getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ())) or "built in"
    return f"the module {module.__name__} ({place})"


def _there(wanted: str, names: Iterable[str], otherwise: Optional[Iterable[str]] = None) -> str:
    """Return the names that are near, or else those there are (`otherwise`, if that is given)."""
    known = sorted(set(names))
    near = get_close_matches(wanted, known, n=3)
    if near:
        return f"near it is: {', '.join(near)}"
    listed = [name for name in (known if otherwise is None else sorted(set(otherwise))) if not name.startswith("_")]
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return f"it has: {', '.join(listed[:_MOST_NAMES]) or 'none'}{more}"
