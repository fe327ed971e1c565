"""Evaluates functions: the walk over a value is here, the facts behind each ``get_…`` come from `Facts`.

Two kinds of facts exist: `creation.CreationFacts` (the plan and the inputs; what needs a living deployment stays as it
is written) and `runtime.RuntimeFacts` (the storage of a living deployment).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from outrider.dispatcher.blueprint.errors import FunctionFailed
from outrider.dispatcher.blueprint.functions.markers import (
    CALL,
    CONCAT,
    LITERAL,
    SECRET,
    has_markers,
    is_marker,
    secret_marker,
)
from outrider.dispatcher.blueprint.functions.names import FUNCTIONS, function_name, has_functions
from outrider.dispatcher.blueprint.functions.scope import Scope
from outrider.dispatcher.blueprint.functions.text_functions import TEXT_FUNCTIONS, call

#: Functions whose results are or hold functions again; deeper ones refer to themselves in practice.
DEEPEST = 50


class NotYet(Exception):
    """The function needs what does not exist yet; it stays in the value as it is written."""


class Facts(Protocol):
    """Answers the ``get_…`` functions."""

    #: Whether results are references for the agent (so that data which looks like one is wrapped).
    references: bool

    def get(self, name: str, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        """Return a function's result, evaluated; raises `NotYet` and `FunctionFailed`."""


class Evaluator:
    """Walks a value and replaces what can be evaluated. One object serves one evaluation after another."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._depth = 0
        #: What is being evaluated, to find values that refer to themselves.
        self._open: list[tuple[str, ...]] = []

    def evaluate(self, value: Any, scope: Scope) -> Any:
        """Return a copy of `value` with its functions evaluated; raises `FunctionFailed`."""
        if isinstance(value, list):
            return [self.evaluate(item, scope) for item in value]
        if not isinstance(value, dict):
            return value
        name = function_name(value)
        if name is None:
            if self._facts.references and is_marker(value):
                return {LITERAL: value}
            return {key: self.evaluate(item, scope) for key, item in value.items()}
        if self._depth >= DEEPEST:
            raise FunctionFailed(f"functions nest deeper than {DEEPEST}; does {name} refer to itself?")
        self._depth += 1
        try:
            return self._function(name, value, scope)
        finally:
            self._depth -= 1

    def referred(self, reference: tuple[str, ...], value: Any, scope: Scope) -> Any:
        """Evaluate a value that a function refers to; a reference that comes back to itself is an error."""
        if reference in self._open:
            chain = [*self._open[self._open.index(reference) :], reference]
            raise FunctionFailed("values refer to themselves: " + " → ".join(".".join(item) for item in chain))
        self._open.append(reference)
        try:
            return self.evaluate(value, scope)
        finally:
            self._open.pop()

    def _function(self, name: str, value: Mapping[str, Any], scope: Scope) -> Any:
        raw = value[name]
        arguments = self.evaluate(raw, scope)
        waiting = {**value, name: arguments}
        if has_functions(arguments):
            return waiting
        if name in TEXT_FUNCTIONS:
            return self._text(name, arguments)
        if self._facts.references and has_markers(arguments):
            raise FunctionFailed(f"{name}: what it looks up depends on a secret, which only the operation may see")
        try:
            result = self._facts.get(name, as_list(arguments), scope, self)
        except NotYet:
            return waiting
        check_type(name, value.get("type"), result)
        return result

    def _text(self, name: str, arguments: Any) -> Any:
        arguments = as_list(arguments)
        if not (self._facts.references and has_markers(arguments)):
            return call(name, arguments)
        if name == "concat":
            return {CONCAT: arguments}
        return {CALL: name, "args": arguments}


def as_list(arguments: Any) -> list[Any]:
    """Return arguments in list form."""
    return arguments if isinstance(arguments, list) else [arguments]


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "dict": (dict,),
}


def check_type(name: str, expected: Any, result: Any) -> None:
    """Check a result against the ``type`` that stands beside a function's name."""
    if expected is None or expected not in _TYPES or result is None or is_marker(result) or function_name(result):
        return
    good = isinstance(result, _TYPES[expected])
    if isinstance(result, bool) and expected != "boolean":
        good = False
    if not good:
        raise FunctionFailed(f"{name} should yield {expected}, and yields {type(result).__name__}")


def follow(value: Any, path: list[Any], *, what: str) -> Any:
    """Follow keys and indexes into a value; raises `FunctionFailed` where the path ends early."""
    for position, step in enumerate(path):
        if isinstance(value, dict) and SECRET in value:
            return secret_marker(value[SECRET], [*value.get("path", []), *path[position:]])
        if function_name(value):
            raise NotYet
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            done = ".".join(str(item) for item in path[: position + 1])
            raise FunctionFailed(f"{what} has no {done}") from None
    return value


def usage(name: str) -> str:
    """Return how a function is called, for messages."""
    return f"{name}: {FUNCTIONS[name].usage}"
