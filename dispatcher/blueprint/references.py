"""Runs the check of functions over all places of a blueprint where values stand."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.functions.names import has_functions
from outrider.dispatcher.blueprint.functions.references import Place, ReferenceChecker
from outrider.dispatcher.blueprint.model import Model, NodeTemplate, Relationship
from outrider.dispatcher.blueprint.operations import Interfaces
from outrider.dispatcher.blueprint.problems import Problems


def check_references(model: Model, problems: Problems) -> None:
    """Record a finding for each function that names what does not exist, or stands where it cannot work."""
    sections = model.sections
    properties = {name: template.type.properties for name, template in model.node_templates.items()}
    checker = ReferenceChecker(sections.get("inputs") or {}, properties, problems.broken, problems)
    walk = _Walk(checker)
    for name, entry in (sections.get("inputs") or {}).items():
        walk.value((entry or {}).get("default"), Place(f"inputs.{name}"))
    for template in model.node_templates.values():
        walk.template(template)
    for section in ("outputs", "capabilities", "labels", "deployment_settings", "policies", "groups"):
        walk.value(sections.get(section), Place(section))


class _Walk:
    def __init__(self, checker: ReferenceChecker) -> None:
        self._checker = checker
        #: Interfaces that many templates share and that hold no function: looked at once.
        self._plain: set[int] = set()

    def value(self, value: Any, place: Place) -> None:
        if has_functions(value):
            self._checker.check(value, place)

    def template(self, template: NodeTemplate) -> None:
        place = Place(f"node_templates.{template.name}", self_name=template.name)
        if has_functions(template.properties):
            self._checker.check(template.properties, place, at=template.at)
        self._interfaces(template.interfaces, place)
        for relationship in template.relationships:
            self._relationship(template, relationship)

    def _relationship(self, template: NodeTemplate, relationship: Relationship) -> None:
        what = f"node_templates.{template.name}, relationship to {relationship.target}"
        place = Place(what, source_name=template.name, target_name=relationship.target)
        self.value(relationship.properties, place)
        self._interfaces(relationship.source_interfaces, place)
        self._interfaces(relationship.target_interfaces, place)

    def _interfaces(self, interfaces: Interfaces, place: Place) -> None:
        if id(interfaces) in self._plain:
            return
        found = False
        for interface, operations in interfaces.items():
            for name, operation in operations.items():
                if operation.inputs and has_functions(operation.inputs):
                    found = True
                    where = Place(
                        f"{place.what}, {interface}.{name}", place.self_name, place.source_name, place.target_name
                    )
                    self._checker.check(operation.inputs, where, at=operation.at)
        if not found:
            self._plain.add(id(interfaces))
