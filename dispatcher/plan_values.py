"""What is found out once about the values of a plan, for the messages of all its operations.

The inputs of an operation and the properties of a node are the same for each of thousands of instances: whether they
hold functions, which secrets they name, and their JSON text. A model keeps one `PlanValues` until it is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher.blueprint import has_functions, has_markers, secret_names
from outrider.dispatcher.blueprint.functions.markers import protect
from outrider.messaging.writing import Written

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlanValue:
    """One value of the plan, examined."""

    #: It has to be evaluated for every attempt; the fields below say nothing then.
    functions: bool
    #: As messages carry it: data that looks like a reference to a secret stays data.
    written: Written
    secrets: frozenset[str]


_EMPTY = PlanValue(functions=False, written=Written({}), secrets=frozenset())


class PlanValues:
    """Values by their identity: nobody changes what was read of a plan."""

    def __init__(self) -> None:
        #: The value itself is kept, so that its id is not given to another one.
        self._known: dict[int, tuple[Json, PlanValue]] = {}
        self._secrets: dict[int, frozenset[str]] = {}
        self._made: dict[str, Written] = {}

    def of(self, value: Json) -> PlanValue:
        """Return what is known of a value of the plan."""
        if not value:
            return _EMPTY
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = value, _examined(value)
            self._secrets[id(known[1].written)] = known[1].secrets
        return known[1]

    def secrets(self, value: Json) -> Set[str]:
        """Return the secrets that a value of a message names, whether it was found here or evaluated."""
        if not value:
            return frozenset()
        known = self._secrets.get(id(value))
        return secret_names(value) if known is None else known

    def once(self, name: str, make: Callable[[], Json]) -> Written:
        """Return what is made of the plan as a whole under this name."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = Written(make())
        return made


def _examined(value: Json) -> PlanValue:
    if has_functions(value):
        return PlanValue(functions=True, written=Written({}), secrets=frozenset())
    plain: Json = protect(value) if has_markers(value) else value
    return PlanValue(functions=False, written=Written(plain), secrets=frozenset(secret_names(plain)))
