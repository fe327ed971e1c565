"""Which mappings are functions, and when each function can be evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Optional


@dataclass(frozen=True)
class FunctionInfo:
    """What is known of a function before it runs."""

    #: Known when the deployment is created; the others need the living deployment.
    at_creation: bool
    #: The least and the most arguments in list form; `most` None is no limit.
    least: int = 1
    most: Optional[int] = None
    #: Whether one plain value may stand in place of a list.
    single: bool = False
    usage: str = ""
    #: The version of the language that brought it.
    since: tuple[int, int] = (1, 0)


FUNCTIONS: dict[str, FunctionInfo] = {
    "get_input": FunctionInfo(at_creation=True, single=True, usage="NAME or [NAME, KEY or INDEX, …]"),
    "get_property": FunctionInfo(at_creation=True, least=2, usage="[NODE or SELF, SOURCE, TARGET, PROPERTY, …]"),
    "get_attribute": FunctionInfo(at_creation=False, least=2, usage="[NODE or SELF, SOURCE, TARGET, ATTRIBUTE, …]"),
    "get_attributes_list": FunctionInfo(at_creation=False, least=2, usage="[NODE, ATTRIBUTE, …]"),
    "get_attributes_dict": FunctionInfo(at_creation=False, least=2, usage="[NODE, ATTRIBUTE or [PATH, …], …]"),
    "get_secret": FunctionInfo(at_creation=False, single=True, usage="NAME or [NAME, KEY, …]"),
    "get_capability": FunctionInfo(at_creation=False, least=2, usage="[DEPLOYMENT, CAPABILITY, …]"),
    "get_group_capability": FunctionInfo(at_creation=False, least=2, usage="[GROUP, CAPABILITY or a list, …]"),
    "get_environment_capability": FunctionInfo(at_creation=False, single=True, usage="NAME or [NAME, …]"),
    "get_label": FunctionInfo(at_creation=False, most=2, single=True, usage="KEY or [KEY, INDEX]"),
    "get_sys": FunctionInfo(at_creation=False, least=2, most=2, usage="[tenant, name] or [deployment, FACT]"),
    "get_consumers": FunctionInfo(at_creation=False, most=1, single=True, usage="ids, names or count"),
    "concat": FunctionInfo(at_creation=True, usage="[PART, …]", since=(1, 1)),
    "merge": FunctionInfo(at_creation=True, usage="[MAPPING, …]", since=(1, 3)),
    "string_find": FunctionInfo(at_creation=True, least=2, most=2, usage="[TEXT, WORD]"),
    "string_replace": FunctionInfo(at_creation=True, least=3, most=4, usage="[TEXT, OLD, NEW, COUNT]"),
    "string_split": FunctionInfo(at_creation=True, least=2, most=3, usage="[TEXT, SEPARATOR, INDEX]"),
    "string_lower": FunctionInfo(at_creation=True, most=1, single=True, usage="TEXT"),
    "string_upper": FunctionInfo(at_creation=True, most=1, single=True, usage="TEXT"),
}

#: What holds no function; most values are of these types.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def function_name(value: object) -> Optional[str]:
    """Return the function that a mapping calls: its one key, or the key beside ``type``; else None."""
    if not isinstance(value, dict) or not 0 < len(value) <= 2:
        return None
    if len(value) == 1:
        name = next(iter(value))
        return name if name in FUNCTIONS else None
    if "type" not in value:
        return None
    return next((name for name in value if name in FUNCTIONS), None)


def is_function(value: object) -> bool:
    """Return whether a value is a call of a function."""
    return function_name(value) is not None


def has_functions(value: object) -> bool:
    """Return whether a function stands anywhere in a value."""
    items: Iterable[object]
    if isinstance(value, dict):
        if len(value) <= 2 and function_name(value) is not None:
            return True
        items = value.values()
    elif isinstance(value, list):
        items = value
    else:
        return False
    for item in items:  # noqa: SIM110 - most values are plain, and a generator costs more than looking at them
        if item.__class__ not in _PLAIN and has_functions(item):
            return True
    return False


def find_functions(value: Any) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield (name, call, how many functions it stands in) of every function in a value; callers before arguments."""
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, dict):
            name = function_name(item)
            if name is not None:
                yield name, item, depth
                depth += 1
            children: Iterable[Any] = item.values()
        elif isinstance(item, list):
            children = reversed(item)
        else:
            continue
        for child in children:
            if child.__class__ not in _PLAIN:
                pending.append((child, depth))  # noqa: PERF401 - as in `has_functions`
