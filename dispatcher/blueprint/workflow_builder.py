"""Builds the ``workflows`` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.implementations import (
    RUN_WORKFLOW_SCRIPT,
    Ambiguous,
    Implementations,
    NoPlugin,
)
from outrider.dispatcher.blueprint.input_builder import build_inputs
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.values import Values

Record = dict[str, Any]


def build_workflows(
    section: Any, implementations: Implementations, values: Values, problems: Problems
) -> dict[str, Record]:
    """Return the ``workflows`` of the plan."""
    built = {}
    for name, entry in (section if isinstance(section, dict) else {}).items():
        fields: Mapping[str, Any] = {"mapping": entry} if isinstance(entry, str) else entry or {}
        at = value_mark(section, name)
        if not fields.get("mapping"):
            message = f"workflows.{name} lacks the key 'mapping'"
            problems.add(Kind.FORMAT, message, at=key_mark(section, name))
            continue
        record = _record(name, fields, implementations, problems, at)
        build_inputs(fields.get("parameters"), values, problems, what=f"workflows.{name}.parameters")
        built[name] = record
    return built


def _record(
    name: str, fields: Mapping[str, Any], implementations: Implementations, problems: Problems, at: Any
) -> Record:
    plugin, operation = "", ""
    parameters = dict(fields.get("parameters") or {})
    mapping = fields["mapping"]
    try:
        target = implementations.find(mapping)
    except NoPlugin as exc:
        meant = implementations.suggestion(mapping)
        problems.add(Kind.WORKFLOW_PLUGIN_UNKNOWN, f"workflows.{name}: {exc}", at=at, suggestion=meant)
    except Ambiguous as exc:
        problems.add(Kind.OPERATION_AMBIGUOUS, f"workflows.{name}: {exc}", at=at)
    else:
        plugin, operation = target.plugin, target.function
        for key, value in target.inputs.items():
            operation = RUN_WORKFLOW_SCRIPT
            if key in parameters:
                message = f"workflows.{name}: its parameter {key!r} is set by the mapping"
                problems.add(Kind.SCRIPT_INPUT_RESERVED, message, at=at)
            parameters[key] = {"default": value, "description": "Workflow script executed by the script runner"}
    return {
        "plugin": plugin,
        "operation": operation,
        "parameters": parameters,
        "is_cascading": bool(fields.get("is_cascading", False)),
        "availability_rules": fields.get("availability_rules"),
    }
