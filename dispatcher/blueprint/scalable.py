"""How many instances a node template or a scaling group has at first, at least and at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems

UNBOUNDED = -1
#: More instances than any deployment has; beyond it a number is a mistake, or an attack.
MOST_INSTANCES = 1_000_000

_ONE_INSTANCE: Mapping[str, int] = {
    "min_instances": 0,
    "max_instances": UNBOUNDED,
    "default_instances": 1,
    "current_instances": 1,
    "planned_instances": 1,
}


def scalable_of_node(name: str, entry: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Return the numbers of a node template, from either of the two ways to write them."""
    capabilities = entry.get("capabilities")
    instances = entry.get("instances")
    if not capabilities and not instances:
        return dict(_ONE_INSTANCE)
    scalable = (capabilities or {}).get("scalable") if isinstance(capabilities, dict) else None
    if instances and scalable:
        message = f"node_templates.{name} has both instances.deploy and capabilities.scalable; keep the second"
        problems.add(Kind.INSTANCES_TWICE, message, at=value_mark(entry, "instances"))
    if instances and isinstance(instances, dict):
        given: Mapping[str, Any] = {"default_instances": instances.get("deploy", 1)}
        return read_scalable(given, problems, what=f"node_templates.{name}", at=value_mark(entry, "instances"))
    properties = (scalable or {}).get("properties") or {} if isinstance(scalable, dict) else {}
    return read_scalable(properties, problems, what=f"node_templates.{name}", at=value_mark(entry, "capabilities"))


def read_scalable(given: Mapping[str, Any], problems: Problems, *, what: str, at: Optional[Mark]) -> dict[str, Any]:
    """Return the three numbers with their defaults, checked against each other where they are not functions."""
    numbers = {
        "min_instances": given.get("min_instances", 0),
        "max_instances": given.get("max_instances", UNBOUNDED),
        "default_instances": given.get("default_instances", 1),
    }
    if numbers["max_instances"] == "UNBOUNDED":
        numbers["max_instances"] = UNBOUNDED
    if given:
        for message in scalable_mistakes(numbers):
            problems.add(Kind.SCALABLE, f"{what}: {message}", at=at)
    return {
        **numbers,
        "current_instances": numbers["default_instances"],
        "planned_instances": numbers["default_instances"],
    }


def scalable_mistakes(numbers: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the numbers; functions are let through."""
    known = {name: value for name, value in numbers.items() if not is_function(value)}
    mistakes = [
        f"{name} must be a whole number, not {value!r}"
        for name, value in known.items()
        if not isinstance(value, int) or isinstance(value, bool)
    ]
    if mistakes:
        return mistakes
    for name, bound in (("default_instances", 0), ("min_instances", 0), ("max_instances", UNBOUNDED)):
        if known.get(name, 0) < bound:
            mistakes.append(f"{name} must not be negative, and is {known[name]}")
    if known.get("max_instances") == 0:
        mistakes.append("max_instances must be at least 1, or -1 for no limit")
    if mistakes:
        return mistakes
    default, least, most = (known.get(f"{name}_instances") for name in ("default", "min", "max"))
    if default is not None and default > MOST_INSTANCES:
        mistakes.append(f"default_instances is {default}; at most {MOST_INSTANCES} are planned")
    if default is not None and least is not None and default < least:
        mistakes.append(f"default_instances ({default}) is smaller than min_instances ({least})")
    if most is not None and most > 0:
        if default is not None and default > most:
            mistakes.append(f"default_instances ({default}) is greater than max_instances ({most})")
        if least is not None and least > most:
            mistakes.append(f"min_instances ({least}) is greater than max_instances ({most})")
    return mistakes
