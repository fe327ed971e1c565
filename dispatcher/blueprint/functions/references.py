"""Checks every function of a blueprint before anything exists: arguments, scope, and the names that it mentions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from outrider.dispatcher.blueprint.functions.evaluate import DEEPEST, as_list, usage
from outrider.dispatcher.blueprint.functions.names import FUNCTIONS, find_functions, function_name
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.values import Values

_OF_NODES = frozenset({"get_property", "get_attribute", "get_attributes_list", "get_attributes_dict"})
_WORDS = frozenset({"SELF", "SOURCE", "TARGET"})


class Place(NamedTuple):
    """Where a value stands: who SELF, SOURCE and TARGET are there, by node template."""

    what: str
    self_name: Optional[str] = None
    source_name: Optional[str] = None
    target_name: Optional[str] = None

    def of(self, word: str) -> Optional[str]:
        """Return the node template behind a word."""
        return {"SELF": self.self_name, "SOURCE": self.source_name, "TARGET": self.target_name}.get(word)


class ReferenceChecker:
    """Checks values against the names of one blueprint."""

    def __init__(
        self,
        inputs: Collection[str],
        properties: Mapping[str, Collection[str]],
        values: Values,
        problems: Problems,
        *,
        foreign: Mapping[str, str],
    ) -> None:
        self._foreign = foreign
        self._inputs = inputs
        #: Node template -> the names of its properties.
        self._properties = properties
        self._values = values
        self._broken = problems.broken
        self._problems = problems

    def check(self, value: Any, place: Place, *, at: Optional[Mark] = None) -> None:
        """Record a finding for each function in `value` that cannot work."""
        for name, call, depth in find_functions(value):
            mark = call.mark if isinstance(call, Map) and call.mark else at
            if depth >= DEEPEST:
                message = f"{place.what}: functions nest deeper than {DEEPEST}"
                self._problems.add(Kind.FUNCTION_CYCLE, message, at=mark)
                return
            self._call(name, call[name], place, mark)
        for name, mark in _foreign_calls(value, self._foreign) if self._foreign else ():
            message = (
                f"{place.what}: {name} is a function of {self._foreign[name]}, whose code does not run while a "
                "blueprint is read: have an operation work the value out, and refer to it by get_attribute"
            )
            self._problems.add(Kind.FUNCTION_FOREIGN, message, at=mark or at)

    def _call(self, name: str, raw: Any, place: Place, at: Optional[Mark]) -> None:
        info, arguments = FUNCTIONS[name], as_list(raw)
        self._values.check_version(info.since, what=f"{place.what}: {name}", at=at)
        if function_name(raw):
            return
        wrong_form = not isinstance(raw, list) and not info.single
        too_few = len(arguments) < info.least
        too_many = info.most is not None and len(arguments) > info.most
        if wrong_form or too_few or too_many or raw is None:
            self._problems.add(Kind.FUNCTION_ARGUMENTS, f"{place.what}: {usage(name)}", at=at)
        elif name == "get_input":
            self._input(arguments[0], place, at)
        elif name in _OF_NODES:
            self._node(name, arguments, place, at)

    def _input(self, name: Any, place: Place, at: Optional[Mark]) -> None:
        if isinstance(name, str) and name not in self._inputs and ("inputs", name) not in self._broken:
            message = f"{place.what}: get_input names {name!r}, which is no input"
            self._problems.add(Kind.FUNCTION_REFERENCE, message, at=at, suggestion=nearest(name, self._inputs))

    def _node(self, name: str, arguments: list[Any], place: Place, at: Optional[Mark]) -> None:
        subject = arguments[0]
        if not isinstance(subject, str):
            return
        node = place.of(subject) if subject in _WORDS else subject
        if node is None:
            message = f"{place.what}: {name} names {subject}, which has no meaning there"
            self._problems.add(Kind.FUNCTION_SCOPE, message, at=at)
        elif node not in self._properties:
            if ("node_templates", node) not in self._broken:
                message = f"{place.what}: {name} names {node!r}, which is no node template"
                meant = nearest(node, self._properties)
                self._problems.add(Kind.FUNCTION_REFERENCE, message, at=at, suggestion=meant)
        elif name == "get_property":
            self._property(node, arguments[1], place, at)

    def _property(self, node: str, name: Any, place: Place, at: Optional[Mark]) -> None:
        known = self._properties[node]
        if isinstance(name, str) and name not in known:
            message = f"{place.what}: get_property names {name!r}, which {node!r} does not have"
            self._problems.add(Kind.FUNCTION_REFERENCE, message, at=at, suggestion=nearest(name, known))


def _foreign_calls(value: Any, foreign: Collection[str]) -> Iterator[tuple[str, Optional[Mark]]]:
    """Yield (name, place) of each mapping of one key (or of two with ``type``) that would call such a function."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            names = item.keys() - {"type"} if len(item) == 2 else item.keys()
            if len(names) == 1 and (name := next(iter(names))) in foreign:
                yield name, item.mark if isinstance(item, Map) else None
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
