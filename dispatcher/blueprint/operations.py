"""Operations and interfaces: how a derived type, a type and a template agree on one operation.

The rules are the ecosystem's. A derived type that names an operation replaces it whole. A template that gives no
implementation keeps the type's and adds inputs; one that gives another implementation drops what the type said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.values import Values

CENTRAL = "central_deployment_agent"
HOST = "host_agent"
AUTO = "auto"
EXECUTORS = (CENTRAL, HOST)

_SETTINGS = ("executor", "max_retries", "retry_interval", "timeout", "timeout_recoverable")


@dataclass(frozen=True)
class Operation:
    """One operation; `inputs` are schemas in a type and values in a template and in a plan."""

    implementation: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    executor: Optional[str] = None
    max_retries: Optional[int] = None
    retry_interval: Optional[float] = None
    timeout: Optional[float] = None
    timeout_recoverable: Optional[bool] = None
    #: Declared types of inputs; the agent needs them for nothing, the plan shows them.
    input_types: Mapping[str, str] = field(default_factory=dict)
    #: Required inputs of a type's operation that have no default: a template must give them.
    missing_inputs: tuple[str, ...] = ()
    #: Written as nothing at all (``{}`` or an empty text): the operation is switched off.
    empty: bool = False
    #: Whether the implementation is written here (or was inherited).
    own_implementation: bool = False
    at: Optional[Mark] = None

    def record(self) -> dict[str, Any]:
        """Return the operation as the plan shows it below `interfaces`."""
        return {
            "implementation": self.implementation,
            "inputs": self.inputs,
            "executor": self.executor,
            "max_retries": self.max_retries,
            "retry_interval": self.retry_interval,
            "timeout": self.timeout,
            "timeout_recoverable": self.timeout_recoverable,
        }


Interfaces = Mapping[str, Mapping[str, Operation]]


def read_interfaces(raw: object, problems: Problems, *, what: str) -> dict[str, dict[str, Operation]]:
    """Return the operations of an ``interfaces`` mapping; its form was checked before."""
    interfaces: dict[str, dict[str, Operation]] = {}
    if not isinstance(raw, dict):
        return interfaces
    for interface, operations in raw.items():
        interfaces[interface] = {}
        for name, value in (operations or {}).items():
            at = value_mark(operations, name)
            interfaces[interface][name] = _read_operation(value, at, problems, what=f"{what}: {interface}.{name}")
    return interfaces


def _read_operation(value: object, at: Optional[Mark], problems: Problems, *, what: str) -> Operation:
    if not value:
        return Operation(empty=True, at=at)
    if isinstance(value, str):
        return Operation(implementation=value, own_implementation=True, at=at)
    assert isinstance(value, dict)  # noqa: S101 - checked against its shape
    executor = value.get("executor")
    if executor is not None and executor not in EXECUTORS:
        message = f"{what} has the executor {executor!r}; it is one of {', '.join(EXECUTORS)}"
        problems.add(Kind.OPERATION_EXECUTOR, message, at=value_mark(value, "executor"))
    return Operation(
        implementation=value.get("implementation") or "",
        inputs=value.get("inputs") or {},
        own_implementation=value.get("implementation") is not None,
        at=at,
        executor=executor,
        max_retries=value.get("max_retries"),
        retry_interval=value.get("retry_interval"),
        timeout=value.get("timeout"),
        timeout_recoverable=value.get("timeout_recoverable"),
    )


def derive_interfaces(parent: Interfaces, own: Interfaces) -> dict[str, dict[str, Operation]]:
    """Return a derived type's interfaces: what it names replaces the parent's operation whole."""
    derived = {interface: dict(operations) for interface, operations in own.items()}
    for interface, operations in parent.items():
        merged = dict(operations)
        merged.update(own.get(interface, {}))
        derived[interface] = merged
    return derived


def template_interfaces(
    declared: Interfaces, completed: Interfaces, own: Interfaces, values: Values, *, what: str
) -> dict[str, Mapping[str, Operation]]:
    """Return a template's interfaces: the type's operations with the template's values.

    `completed` is what `complete_interfaces` made of `declared`; interfaces that the template does not name are taken
    from it as they are, so that most templates share them.
    """
    merged: dict[str, Mapping[str, Operation]] = dict(completed)
    for interface, of_template in own.items():
        of_type = declared.get(interface, {})
        ready = dict(completed.get(interface, {}))
        for name, operation in of_template.items():
            label = f"{what}: {interface}.{name}"
            ready[name] = _template_operation(of_type.get(name), operation, values, what=label)
        merged[interface] = ready
    return merged


def complete_interfaces(declared: Interfaces, values: Values, *, what: str) -> dict[str, Mapping[str, Operation]]:
    """Return a type's interfaces with the defaults of inputs filled in, for templates that add nothing."""
    return {
        interface: {
            name: _with_inputs(operation, {}, values, what=f"{what}: {interface}.{name}", report_missing=False)
            for name, operation in operations.items()
        }
        for interface, operations in declared.items()
    }


def _template_operation(declared: Optional[Operation], own: Operation, values: Values, *, what: str) -> Operation:
    if declared is None:
        return own
    if own.empty:
        return Operation(at=own.at, empty=True)
    if own.own_implementation and own.implementation != declared.implementation:
        return own
    completed = _with_inputs(declared, own.inputs, values, what=what, at=own.at or declared.at)
    settings = {name: value for name in _SETTINGS if (value := getattr(own, name)) is not None}
    return replace(completed, **settings) if settings else completed


def _with_inputs(
    operation: Operation,
    given: Mapping[str, Any],
    values: Values,
    *,
    what: str,
    at: Optional[Mark] = None,
    report_missing: bool = True,
) -> Operation:
    """Fill the schema defaults in; inputs that no schema names are allowed."""
    schemas, at = operation.inputs, at or operation.at
    if not schemas and not given:
        return operation if at is operation.at else replace(operation, at=at)
    inputs = Map()
    for name, value in given.items():
        inputs.put(name, value, origin=given)
    types: dict[str, str] = {}
    missing: list[str] = []
    for name, schema in schemas.items():
        place = value_mark(given, name) if name in given else (at or key_mark(schemas, name))
        if name not in given and "default" not in schema:
            if schema.get("required", True):
                missing.append(name)
                if report_missing:
                    values.report_missing(f"{what}, input {name}", at=place)
            continue
        value = values.input_of(schema, given, name, place)
        declared_type = schema.get("type")
        if declared_type:
            types[name] = declared_type
            if isinstance(value, dict) and "type" not in value:
                # The ecosystem's plans carry the declared type inside dict inputs; operations see it there.
                value = {**value, "type": declared_type}
        inputs[name] = value
    return replace(operation, inputs=inputs, input_types=types, missing_inputs=tuple(missing), at=at)
