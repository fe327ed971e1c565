"""Warnings about blueprints that are valid and still look like a mistake. Called by `outrider blueprint lint`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions.names import find_functions, is_function
from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import Map, Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.model import NodeTemplate
from outrider.dispatcher.blueprint.values import fits

_SECRET_NAME = re.compile(r"pass(word|wd)?$|secret|token|private_?key|api_?key|access_?key", re.IGNORECASE)
_OLD_TYPES_KEYS = {"install_agent": "agent_config.install_method", "cloudify_agent": "agent_config"}


@dataclass(frozen=True)
class LintWarning:
    """One warning; `rule` is a stable name."""

    rule: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def render(self) -> str:
        """Return the warning as one line."""
        return f"{self.file}:{self.line}:{self.column}: warning[{self.rule}]: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return the warning as a JSON object."""
        return {
            "rule": self.rule,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        }


def lint(blueprint: Blueprint) -> list[LintWarning]:
    """Return all warnings for the author's own files, by file and line."""
    found = [
        warning
        for rule in (_duplicates, _inputs, _secrets, _plugins, _deprecated, _operations, _constraints, _imports)
        for warning in rule(blueprint)
    ]
    return sorted(found, key=lambda item: (item.file != str(blueprint.main_file), item.file, item.line, item.column))


def _warning(rule: str, message: str, at: Optional[Mark]) -> LintWarning:
    if at is None:
        return LintWarning(rule, message)
    return LintWarning(rule, message, at.source.name, at.line, at.column)


def _is_own(at: Optional[Mark]) -> bool:
    return at is None or not at.source.any_version


def _duplicates(blueprint: Blueprint) -> Iterator[LintWarning]:
    for document in blueprint.documents:
        for key, mark in document.source.duplicates:
            yield _warning("duplicate-key", f"{key!r} stands twice in this mapping; only the later one counts", mark)


def _inputs(blueprint: Blueprint) -> Iterator[LintWarning]:
    used = {
        argument if isinstance(argument := call[name], str) else argument[0]
        for section, value in blueprint.sections.items()
        for name, call in find_functions(value)
        if name == "get_input" and (isinstance(call[name], str) or (isinstance(call[name], list) and call[name]))
        if isinstance(call[name], str) or isinstance(call[name][0], str)
    }
    inputs = blueprint.sections.get("inputs") or {}
    for name in inputs:
        at = key_mark(inputs, name)
        if name not in used and _is_own(at):
            yield _warning("unused-input", f"no function reads the input {name!r}", at)


def _secrets(blueprint: Blueprint) -> Iterator[LintWarning]:
    for section in ("node_templates", "inputs", "plugins"):
        entries = blueprint.sections.get(section) or {}
        for name, entry in entries.items():
            if not _is_own(key_mark(entries, name)):
                continue
            if section == "inputs" and _SECRET_NAME.search(name) and _is_plain_secret((entry or {}).get("default")):
                message = f"the input {name!r} has its default in plain text; use get_secret"
                yield _warning("plain-secret", message, value_mark(entry, "default"))
            yield from _plain_values(entry)


def _plain_values(value: Any) -> Iterator[LintWarning]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict) and not is_function(item):
            for key, child in item.items():
                if isinstance(key, str) and _SECRET_NAME.search(key) and _is_plain_secret(child):
                    yield _warning(
                        "plain-secret", f"{key!r} is written in plain text; use get_secret", value_mark(item, key)
                    )
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _is_plain_secret(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _plugins(blueprint: Blueprint) -> Iterator[LintWarning]:
    for plugin in blueprint.model.plugins.values():
        record = plugin.record
        if _is_own(plugin.at) and record["install"] and record["package_name"] and not record["package_version"]:
            yield _warning("unpinned-plugin", f"the plugin {plugin.name!r} states no package_version", plugin.at)
    for document in blueprint.documents:
        entries = document.tree.get("imports")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            name = entry if isinstance(entry, str) else next(iter(entry), "")
            if "plugin:" in name and "version=" not in name:
                message = f"{name} takes the newest version that exists; add ?version="
                yield _warning("unpinned-plugin", message, value_mark(entries, index))


def _deprecated(blueprint: Blueprint) -> Iterator[LintWarning]:
    entries = blueprint.sections.get("node_templates") or {}
    for name, entry in entries.items():
        if entry.get("instances"):
            message = f"instances.deploy of {name!r} is the older form of capabilities.scalable.properties"
            yield _warning("deprecated", message, key_mark(entry, "instances"))
        for key, newer in _OLD_TYPES_KEYS.items():
            if key in (entry.get("properties") or {}):
                message = f"the property {key} of {name!r} is the older form of {newer}"
                yield _warning("deprecated", message, key_mark(entry["properties"], key))
        validation = (entry.get("interfaces") or {}).get("cloudify.interfaces.validation") or {}
        for key, newer in (("creation", "create"), ("deletion", "delete")):
            if key in validation:
                message = f"the operation validation.{key} of {name!r} is the older name of {newer}"
                yield _warning("deprecated", message, key_mark(validation, key))
    groups = blueprint.sections.get("groups") or {}
    for name, group in groups.items():
        if (group or {}).get("policies"):
            yield _warning(
                "deprecated", f"policies of the group {name!r} are kept in the plan only", key_mark(groups, name)
            )


def _operations(blueprint: Blueprint) -> Iterator[LintWarning]:
    """What a merge does silently: operations switched off, inputs dropped, values of another type."""
    for template in blueprint.model.node_templates.values():
        if template.own_interfaces:
            yield from _template_operations(template)
    for node_type in blueprint.model.node_types.values():
        if node_type.parent is None or not _is_own(node_type.at):
            continue
        parent = blueprint.model.node_types[node_type.parent]
        for interface, operations in node_type.interfaces.items():
            for name, operation in operations.items():
                above = parent.interfaces.get(interface, {}).get(name)
                if above is not None and above.implementation and not operation.implementation:
                    message = f"{node_type.name} switches off {interface}.{name}, which {parent.name} implements"
                    yield _warning("operation-disabled", message, operation.at)


def _template_operations(template: NodeTemplate) -> Iterator[LintWarning]:
    for interface, operations in template.interfaces.items():
        for name, operation in operations.items():
            declared = template.type.interfaces.get(interface, {}).get(name)
            if declared is None or operation.at is declared.at:
                continue
            what = f"{interface}.{name} of {template.name!r}"
            if declared.implementation and not operation.implementation:
                yield _warning("operation-disabled", f"{what} is switched off; its type implements it", operation.at)
            elif declared.inputs and operation.implementation != declared.implementation:
                message = f"{what} has another implementation, so the inputs that its type declares are dropped"
                yield _warning("inputs-dropped", message, operation.at)
            for key, schema in declared.inputs.items():
                value = operation.inputs.get(key)
                if key in operation.input_types and not fits(value, str(schema.get("type"))):
                    message = f"the input {key!r} of {what} is not of its type {schema['type']}; nobody checks it later"
                    yield _warning("input-type", message, value_mark(operation.inputs, key))


def _constraints(blueprint: Blueprint) -> Iterator[LintWarning]:
    inputs = blueprint.sections.get("inputs") or {}
    for name, entry in inputs.items():
        constraints = (entry or {}).get("constraints") or []
        for index, constraint in enumerate(constraints):
            if len(set(constraint) - {"error_message"}) > 1:
                message = f"a constraint of the input {name!r} has several operators; write one per list item"
                yield _warning("constraint-form", message, value_mark(constraints, index))


def _imports(blueprint: Blueprint) -> Iterator[LintWarning]:
    """A workflow of the built-in types always beats a blueprint's own of the same name."""
    main = blueprint.documents[0].tree.get("workflows")
    built_in = {
        name for document in blueprint.documents if document.bundled for name in document.tree.get("workflows") or {}
    }
    if isinstance(main, Map):
        for name in main:
            if name in built_in:
                message = f"the workflow {name!r} is never used: the built-in one of this name wins"
                yield _warning("workflow-overridden", message, key_mark(main, name))
