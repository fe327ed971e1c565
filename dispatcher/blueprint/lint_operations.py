"""Warnings about operations that a merge changes without a word; a part of `lint`."""

from __future__ import annotations

from collections.abc import Iterator

from outrider.dispatcher.blueprint.functions.names import is_function
from outrider.dispatcher.blueprint.lint_warning import LintWarning, is_own, warning_at
from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import value_mark
from outrider.dispatcher.blueprint.operations import Interfaces, Operation
from outrider.dispatcher.blueprint.values import fits

_SIDES = ("source_interfaces", "target_interfaces")


def operation_warnings(blueprint: Blueprint) -> Iterator[LintWarning]:
    """What a merge does silently: operations switched off, inputs dropped, values of another type."""
    model = blueprint.model
    for node_type in model.node_types.values():
        if node_type.parent is not None and is_own(node_type.at):
            parent = model.node_types[node_type.parent]
            yield from _derived_operations(node_type.name, node_type.interfaces, parent.name, parent.interfaces)
    for relationship_type in model.relationship_types.values():
        if relationship_type.parent is not None and is_own(relationship_type.at):
            above = model.relationship_types[relationship_type.parent]
            for side in _SIDES:
                own, inherited = getattr(relationship_type, side), getattr(above, side)
                yield from _derived_operations(relationship_type.name, own, above.name, inherited)
    for template in model.node_templates.values():
        if template.own_interfaces:
            yield from _template_operations(repr(template.name), template.interfaces, template.type.interfaces)
        for relationship in template.relationships:
            what = f"the relationship of {template.name!r} to {relationship.target!r}"
            for side in _SIDES:
                own, declared = getattr(relationship, side), getattr(relationship.type, side)
                yield from _template_operations(what, own, declared)


def _derived_operations(
    name: str, interfaces: Interfaces, parent_name: str, parent: Interfaces
) -> Iterator[LintWarning]:
    for interface, operations in interfaces.items():
        for operation_name, operation in operations.items():
            above = parent.get(interface, {}).get(operation_name)
            if above is not None and above.implementation and not operation.implementation:
                message = f"{name} switches off {interface}.{operation_name}, which {parent_name} implements"
                yield warning_at("operation-disabled", message, operation.at)


def _template_operations(of: str, interfaces: Interfaces, declared_in: Interfaces) -> Iterator[LintWarning]:
    for interface, operations in interfaces.items():
        for name, operation in operations.items():
            declared = declared_in.get(interface, {}).get(name)
            if declared is None or operation.at is declared.at:
                continue
            what = f"{interface}.{name} of {of}"
            if declared.implementation and not operation.implementation:
                yield warning_at("operation-disabled", f"{what} is switched off; its type implements it", operation.at)
            elif declared.inputs and operation.implementation != declared.implementation:
                message = f"{what} has another implementation, so the inputs that its type declares are dropped"
                yield warning_at("inputs-dropped", message, operation.at)
            yield from _typed_inputs(what, operation, declared)


def _typed_inputs(what: str, operation: Operation, declared: Operation) -> Iterator[LintWarning]:
    for key, schema in declared.inputs.items():
        value = operation.inputs.get(key)
        if key not in operation.input_types:
            continue
        at = value_mark(operation.inputs, key)
        if not fits(value, str(schema.get("type"))):
            message = f"the input {key!r} of {what} is not of its type {schema['type']}; nobody checks it later"
            yield warning_at("input-type", message, at)
        elif isinstance(value, dict) and not is_function(value) and value.get("type") == schema.get("type"):
            message = f"the input {key!r} of {what} gets a key 'type' with the name of its declared type"
            yield warning_at("input-type-key", message, at)
