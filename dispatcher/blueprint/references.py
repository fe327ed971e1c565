"""Runs the check of functions over all places of a blueprint where values stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions.references import Place, ReferenceChecker
from outrider.dispatcher.blueprint.model import Model, NodeTemplate, Relationship
from outrider.dispatcher.blueprint.operations import Interfaces, Operation
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.values import Values


def check_references(
    model: Model, values: Values, problems: Problems, *, foreign: Optional[Mapping[str, str]] = None
) -> None:
    """Record a finding for each function that names what does not exist, or stands where it cannot work.

    `foreign`: functions that imported plugins would add to the language, with the plugin; none of them is evaluated.
    """
    sections = model.sections
    properties = {name: template.type.properties for name, template in model.node_templates.items()}
    foreign = foreign or {}
    checker = ReferenceChecker(sections.get("inputs") or {}, properties, values, problems, foreign=foreign)
    walk = _Walk(checker, problems)
    for name, entry in (sections.get("inputs") or {}).items():
        walk.value((entry or {}).get("default"), Place(f"inputs.{name}"))
    for template in model.node_templates.values():
        walk.template(template)
        for relationship in template.relationships:
            walk.relationship(template, relationship, model.node_templates.get(relationship.target))
    for section in ("outputs", "capabilities", "labels", "deployment_settings", "policies", "groups"):
        walk.value(sections.get(section), Place(section))


class _Walk:
    def __init__(self, checker: ReferenceChecker, problems: Problems) -> None:
        self._checker = checker
        self._problems = problems
        #: (operation, types that SELF, SOURCE and TARGET have): templates share the operations of their types, and
        #: what is good for one template of a type is good for all.
        self._good: set[tuple[int, tuple[str, ...]]] = set()

    def value(self, value: Any, place: Place) -> None:
        self._checker.check(value, place)

    def template(self, template: NodeTemplate) -> None:
        place = Place(f"node_templates.{template.name}", self_name=template.name)
        self._checker.check(template.properties, place, at=template.at)
        self._interfaces(template.interfaces, place, (template.type.name,))

    def relationship(self, source: NodeTemplate, relationship: Relationship, target: Optional[NodeTemplate]) -> None:
        what = f"node_templates.{source.name}, relationship to {relationship.target}"
        place = Place(what, source_name=source.name, target_name=relationship.target)
        self.value(relationship.properties, place)
        types = (source.type.name, target.type.name if target else "")
        self._interfaces(relationship.source_interfaces, place, types)
        self._interfaces(relationship.target_interfaces, place, types)

    def _interfaces(self, interfaces: Interfaces, place: Place, types: tuple[str, ...]) -> None:
        for interface, operations in interfaces.items():
            for name, operation in operations.items():
                if operation.inputs and (id(operation), types) not in self._good:
                    self._operation(operation, f"{interface}.{name}", place, types)

    def _operation(self, operation: Operation, name: str, place: Place, types: tuple[str, ...]) -> None:
        before = len(self._problems)
        self._checker.check(operation.inputs, place._replace(what=f"{place.what}, {name}"), at=operation.at)
        if len(self._problems) == before:
            self._good.add((id(operation), types))
