"""Constraints on inputs, properties and parameters: their form, and whether a value keeps them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.functions import has_functions
from outrider.dispatcher.blueprint.kinds import Kind

_COMPARISONS = ("equal", "greater_than", "greater_or_equal", "less_than", "less_or_equal", "in_range")
_LENGTHS = ("length", "min_length", "max_length")
OPERATORS = (*_COMPARISONS, "valid_values", *_LENGTHS, "pattern")
#: Checked by the manager against its database, not by a value alone.
DATABASE_OPERATORS = ("filter_id", "labels", "tenants", "name_pattern", "deployment_id", "blueprint_id")


#: Operator -> what its argument must be.
_WHOLE_ARGUMENT = frozenset(_LENGTHS)
_PAIR = 2


def constraint_mistake(constraint: Any) -> tuple[Kind, str]:
    """Return what is wrong with one entry of ``constraints``, or an empty text."""
    operators = [key for key in constraint if key != "error_message"] if isinstance(constraint, dict) else []
    if not operators:
        return Kind.CONSTRAINT_ARGUMENT, "a constraint is a mapping with an operator"
    for operator in operators:
        argument = constraint[operator]
        if operator not in OPERATORS and operator not in DATABASE_OPERATORS:
            return Kind.CONSTRAINT_UNKNOWN, f"there is no constraint {operator!r}; there are {', '.join(OPERATORS)}"
        if not has_functions(argument) and not _argument_suits(operator, argument):
            return Kind.CONSTRAINT_ARGUMENT, f"the constraint {operator} cannot have the argument {argument!r}"
    return Kind.CONSTRAINT_ARGUMENT, ""


def _argument_suits(operator: str, argument: Any) -> bool:
    if operator == "in_range":
        return isinstance(argument, list) and len(argument) == _PAIR
    if operator == "valid_values":
        return isinstance(argument, list)
    if operator in _WHOLE_ARGUMENT:
        return isinstance(argument, int) and not isinstance(argument, bool)
    if operator == "pattern":
        try:
            re.compile(argument)
        except (re.error, TypeError):
            return False
    return True


def violations(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return what a value breaks, as ends of a sentence; functions cannot be judged and pass."""
    if value is None or has_functions(value):
        return []
    found = []
    items = value if isinstance(value, list) and schema.get("item_type") else [value]
    for constraint in schema.get("constraints") or ():
        if not isinstance(constraint, dict) or has_functions(constraint):
            continue
        for operator, argument in constraint.items():
            if operator not in OPERATORS:
                continue
            for item in items:
                if not keeps(item, operator, argument):
                    own = constraint.get("error_message")
                    found.append(
                        str(own) if own else f"is {item!r}, which breaks the constraint {operator}: {argument}"
                    )
    return found


def keeps(value: Any, operator: str, argument: Any) -> bool:  # noqa: PLR0911, C901 - one line per operator
    """Return whether one value keeps one constraint."""
    try:
        match operator:
            case "equal":
                return bool(value == argument)
            case "greater_than":
                return bool(value > argument)
            case "greater_or_equal":
                return bool(value >= argument)
            case "less_than":
                return bool(value < argument)
            case "less_or_equal":
                return bool(value <= argument)
            case "in_range":
                return bool(argument[0] <= value <= argument[1])
            case "valid_values":
                return value in argument
            case "length":
                return bool(len(value) == argument)
            case "min_length":
                return bool(len(value) >= argument)
            case "max_length":
                return bool(len(value) <= argument)
            case "pattern":
                return re.match(argument, value if isinstance(value, str) else str(value)) is not None
    except TypeError:
        return False
    return True
