"""Warnings about blueprints that are valid and still look like a mistake. Called by `outrider blueprint lint`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from outrider.dispatcher.blueprint.functions.names import find_functions, is_function
from outrider.dispatcher.blueprint.lint_agents import agent_warnings
from outrider.dispatcher.blueprint.lint_operations import operation_warnings
from outrider.dispatcher.blueprint.lint_settings import settings_warnings
from outrider.dispatcher.blueprint.lint_warning import LintWarning, is_own, warning_at
from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark

_SECRET_NAME = re.compile(r"pass(word|wd)?$|secret|token|private_?key|api_?key|access_?key", re.IGNORECASE)
_REPLACED_SECTIONS = (
    "node_types",
    "relationships",
    "data_types",
    "plugins",
    "policy_types",
    "policy_triggers",
    "groups",
)
_OLD_TYPES_KEYS = {"install_agent": "agent_config.install_method", "cloudify_agent": "agent_config"}


def lint(blueprint: Blueprint) -> list[LintWarning]:
    """Return all warnings for the author's own files, by file and line."""
    found = [warning for rule in _RULES for warning in rule(blueprint)]
    return sorted(found, key=lambda item: (item.file != str(blueprint.main_file), item.file, item.line, item.column))


def _duplicates(blueprint: Blueprint) -> Iterator[LintWarning]:
    for document in blueprint.documents:
        for key, mark in document.source.duplicates:
            yield warning_at("duplicate-key", f"{key!r} stands twice in this mapping; only the later one counts", mark)


def _inputs(blueprint: Blueprint) -> Iterator[LintWarning]:
    used = {
        argument if isinstance(argument := call[name], str) else argument[0]
        for section, value in blueprint.sections.items()
        for name, call, _ in find_functions(value)
        if name == "get_input" and (isinstance(call[name], str) or (isinstance(call[name], list) and call[name]))
        if isinstance(call[name], str) or isinstance(call[name][0], str)
    }
    inputs = blueprint.sections.get("inputs") or {}
    for name in inputs:
        at = key_mark(inputs, name)
        if name not in used and is_own(at):
            yield warning_at("unused-input", f"no function reads the input {name!r}", at)


def _secrets(blueprint: Blueprint) -> Iterator[LintWarning]:
    for section in ("node_templates", "inputs", "plugins"):
        entries = blueprint.sections.get(section) or {}
        for name, entry in entries.items():
            if not is_own(key_mark(entries, name)):
                continue
            if section == "inputs" and _SECRET_NAME.search(name) and _is_plain_secret((entry or {}).get("default")):
                message = f"the input {name!r} has its default in plain text; use get_secret"
                yield warning_at("plain-secret", message, value_mark(entry, "default"))
            yield from _plain_values(entry)


def _plain_values(value: Any) -> Iterator[LintWarning]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict) and not is_function(item):
            for key, child in item.items():
                if isinstance(key, str) and _SECRET_NAME.search(key) and _is_plain_secret(child):
                    yield warning_at(
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
        if is_own(plugin.at) and record["install"] and record["package_name"] and not record["package_version"]:
            yield warning_at("unpinned-plugin", f"the plugin {plugin.name!r} states no package_version", plugin.at)
    for document in blueprint.documents:
        entries = document.tree.get("imports")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            name = entry if isinstance(entry, str) else next(iter(entry), "")
            if "plugin:" in name and "version=" not in name:
                message = f"{name} takes the newest version that exists; add ?version="
                yield warning_at("unpinned-plugin", message, value_mark(entries, index))


def _deprecated(blueprint: Blueprint) -> Iterator[LintWarning]:
    entries = blueprint.sections.get("node_templates") or {}
    for name, entry in entries.items():
        if entry.get("instances"):
            message = f"instances.deploy of {name!r} is the older form of capabilities.scalable.properties"
            yield warning_at("deprecated", message, key_mark(entry, "instances"))
        for key, newer in _OLD_TYPES_KEYS.items():
            if key in (entry.get("properties") or {}):
                message = f"the property {key} of {name!r} is the older form of {newer}"
                yield warning_at("deprecated", message, key_mark(entry["properties"], key))
        validation = (entry.get("interfaces") or {}).get("cloudify.interfaces.validation") or {}
        for key, newer in (("creation", "create"), ("deletion", "delete")):
            if key in validation:
                message = f"the operation validation.{key} of {name!r} is the older name of {newer}"
                yield warning_at("deprecated", message, key_mark(validation, key))
    groups = blueprint.sections.get("groups") or {}
    for name, group in groups.items():
        if (group or {}).get("policies"):
            yield warning_at(
                "deprecated", f"policies of the group {name!r} are kept in the plan only", key_mark(groups, name)
            )


def _replaced(blueprint: Blueprint) -> Iterator[LintWarning]:
    """Definitions of ``cloudify.…`` names that a file imported later replaces without a word."""
    for document in blueprint.documents:
        for section in _REPLACED_SECTIONS:
            entries, merged = document.tree.get(section), blueprint.sections.get(section)
            if not isinstance(entries, Map) or not isinstance(merged, Map):
                continue
            for name in entries:
                here, used = key_mark(entries, name), key_mark(merged, name)
                if here is None or used is None or not is_own(here) or here[1:] == used[1:]:
                    continue
                message = f"{name!r} is never used: {used.source.name}, line {used.line}, replaces it"
                yield warning_at("definition-replaced", message, here)


def _constraints(blueprint: Blueprint) -> Iterator[LintWarning]:
    inputs = blueprint.sections.get("inputs") or {}
    for name, entry in inputs.items():
        constraints = (entry or {}).get("constraints") or []
        for index, constraint in enumerate(constraints):
            if len(set(constraint) - {"error_message"}) > 1:
                message = f"a constraint of the input {name!r} has several operators; write one per list item"
                yield warning_at("constraint-form", message, value_mark(constraints, index))


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
                yield warning_at("workflow-overridden", message, key_mark(main, name))


_RULES = (
    _duplicates,
    _inputs,
    _secrets,
    _plugins,
    _deprecated,
    operation_warnings,
    agent_warnings,
    settings_warnings,
    _replaced,
    _constraints,
    _imports,
)
