"""Which labels a deployment has: its blueprint's, evaluated with its inputs, and those that people set.

Used where deployments are made and where an update puts another plan in the place of the old one. Both kinds are stored
together, key → values; which are the blueprint's is told by the plan that was last evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outrider.dispatcher import blueprint as language

Json = Mapping[str, Any]
Labels = Mapping[str, Sequence[str]]


def declared(plan: Json | None) -> dict[str, list[str]]:
    """Return the labels that a plan gives to its deployments: key → values, as far as they are known."""
    labels: Json = (plan or {}).get("labels") or {}
    return {
        key: [str(value) for value in (label or {}).get("values") or () if not language.has_functions(value)]
        for key, label in labels.items()
    }


def after_update(present: Labels, *, old_plan: Json | None, new_plan: Json | None) -> dict[str, list[str]]:
    """Return the labels that a deployment has once another plan is in force.

    Of a key whose old values from the blueprint are all there, they make room for the new ones; values that were added
    by hand stay. A key that a person changed, removed, or set beside the blueprint stays as that person left it.
    """
    old, new = declared(old_plan), declared(new_plan)
    found = {key: list(values) for key, values in present.items()}
    for key in old.keys() | new.keys():
        if key not in found and key not in old:
            found[key] = new[key]
        elif key in found and key in old and set(old[key]) <= set(found[key]):
            added = [value for value in found[key] if value not in old[key]]
            values = [*new.get(key, ()), *(value for value in added if value not in new.get(key, ()))]
            if values or key in new:
                found[key] = values
            else:
                del found[key]
    return found
