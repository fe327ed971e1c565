"""Plan → deployment plan: inputs checked, functions evaluated as far as they can be, node instances made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.collector import collector_paused
from outrider.dispatcher.blueprint.errors import BlueprintError, DeploymentInvalid, FunctionFailed, ScalingRefused
from outrider.dispatcher.blueprint.functions.creation import CreationFacts
from outrider.dispatcher.blueprint.functions.evaluate import Evaluator
from outrider.dispatcher.blueprint.functions.names import function_name, has_functions
from outrider.dispatcher.blueprint.functions.scope import NO_SCOPE, Scope
from outrider.dispatcher.blueprint.inputs import complete_inputs
from outrider.dispatcher.blueprint.instances import IdMaker, reconcile
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import plain
from outrider.dispatcher.blueprint.scalable import scalable_mistakes

Record = dict[str, Any]


def prepare_deployment(
    plan: Mapping[str, Any],
    *,
    inputs: Optional[Mapping[str, Any]] = None,
    secrets: Optional[Collection[str]] = None,
    parent_capability: Optional[Callable[[str], bool]] = None,
    auto_correct_types: bool = False,
    runtime_only: bool = False,
    make_id: Optional[IdMaker] = None,
) -> Record:
    """Return the plan of a deployment.

    `secrets` are the names that exist (None: not checked); `parent_capability` tells whether the environment that the
    deployment stands in offers a capability (None: not checked). With `runtime_only`, functions are left for run time.
    Raises `DeploymentInvalid` with all findings at once.
    """
    errors: list[BlueprintError] = []
    given = complete_inputs(plan, inputs or {}, errors, auto_correct_types=auto_correct_types)
    if errors:
        raise DeploymentInvalid(errors)
    _check_requirements(plan, given, secrets, parent_capability, errors)
    with collector_paused():
        prepared = _Preparation(plan, given, errors, runtime_only=runtime_only).run()
    if errors:
        raise DeploymentInvalid(errors)
    try:
        with collector_paused():
            prepared["node_instances"] = reconcile(prepared, make_id=make_id)
    except ScalingRefused as exc:
        raise DeploymentInvalid([BlueprintError(kind=Kind.TOO_LARGE, message=str(exc))]) from exc
    return prepared


def _check_requirements(
    plan: Mapping[str, Any],
    inputs: Mapping[str, Any],
    secrets: Optional[Collection[str]],
    parent_capability: Optional[Callable[[str], bool]],
    errors: list[BlueprintError],
) -> None:
    requirements = plan.get("requirements") or {}
    for name in _required_names(requirements.get("secrets", ()), inputs) if secrets is not None else ():
        if name not in secrets:  # type: ignore[operator]
            message = f"the secret {name!r} does not exist; create it before the deployment"
            errors.append(BlueprintError(kind=Kind.SECRET_UNKNOWN, message=message))
    if parent_capability is None:
        return
    for name in _required_names(requirements.get("parent_capabilities", ()), inputs):
        if not parent_capability(name):
            message = f"the parent environment has no capability {name!r}"
            errors.append(BlueprintError(kind=Kind.CAPABILITY_UNKNOWN, message=message))


def _required_names(entries: Iterable[Any], inputs: Mapping[str, Any]) -> list[str]:
    """Return the names that requirements name; one that only run time knows is not checked."""
    names: dict[str, None] = {}
    evaluator = Evaluator(CreationFacts({}, inputs))
    for entry in entries:
        first = entry[0] if isinstance(entry, list) and entry else entry
        try:
            name = evaluator.evaluate(first, NO_SCOPE)
        except FunctionFailed:
            continue
        if isinstance(name, str):
            names[name] = None
    return list(names)


class _Preparation:
    """Evaluates every part of a plan in its scope."""

    def __init__(
        self, plan: Mapping[str, Any], inputs: Mapping[str, Any], errors: list[BlueprintError], *, runtime_only: bool
    ) -> None:
        self._plan = plan
        self._inputs = inputs
        self._errors = errors
        self._runtime_only = runtime_only
        nodes = {node["id"]: node for node in plan["nodes"]}
        # An input that may be absent, and is, reads as nothing.
        known = {**dict.fromkeys(plan.get("inputs") or ()), **inputs}
        self._evaluator = Evaluator(CreationFacts(nodes, known))
        #: id of shared operations without functions -> checked; they stay shared.
        self._constant: dict[int, bool] = {}

    def run(self) -> Record:
        prepared: Record = dict(self._plan)
        prepared["inputs"] = plain(self._inputs)
        prepared["nodes"] = [self._node(node) for node in self._plan["nodes"]]
        for section in ("outputs", "capabilities", "labels", "deployment_settings", "policies", "groups"):
            if self._plan.get(section):
                prepared[section] = self._value(self._plan[section], NO_SCOPE, section)
        prepared["scaling_groups"] = {
            name: {**group, "properties": self._scalable(group["properties"], NO_SCOPE, f"scaling group {name!r}")}
            for name, group in (self._plan.get("scaling_groups") or {}).items()
        }
        prepared["inter_deployment_functions"] = inter_deployment_functions(prepared)
        return prepared

    def _node(self, node: Mapping[str, Any]) -> Record:
        scope = Scope(self_id=node["id"])
        what = f"nodes.{node['id']}"
        prepared = dict(node)
        prepared["properties"] = self._value(node["properties"], scope, f"{what}.properties")
        prepared["operations"] = self._operations(node["operations"], scope, f"{what}.operations")
        prepared["relationships"] = [self._relationship(item, node["id"], what) for item in node["relationships"]]
        scalable = self._scalable(node["capabilities"]["scalable"]["properties"], scope, what)
        prepared["capabilities"] = {**node["capabilities"], "scalable": {"properties": scalable}}
        return prepared

    def _relationship(self, item: Mapping[str, Any], source: str, what: str) -> Record:
        scope = Scope(source_id=source, target_id=item["target_id"])
        name = f"{what}.relationships[{item['target_id']}]"
        prepared = dict(item)
        prepared["properties"] = self._value(item["properties"], scope, f"{name}.properties")
        for side in ("source_operations", "target_operations"):
            prepared[side] = self._operations(item[side], scope, f"{name}.{side}")
        return prepared

    def _operations(self, operations: Mapping[str, Record], scope: Scope, what: str) -> Mapping[str, Record]:
        if self._constant.get(id(operations)):
            return operations
        prepared: dict[str, Record] = {}
        done: dict[int, Record] = {}
        for name, operation in operations.items():
            if not operation["inputs"] or not has_functions(operation["inputs"]):
                continue
            if id(operation) not in done:
                values = self._value(operation["inputs"], scope, f"{what}.{name}.inputs")
                done[id(operation)] = {**operation, "inputs": values, "has_intrinsic_functions": has_functions(values)}
            prepared[name] = done[id(operation)]
        if not prepared:
            self._constant[id(operations)] = True
            return operations
        return {**operations, **prepared}

    def _value(self, value: Any, scope: Scope, what: str) -> Any:
        if self._runtime_only or not has_functions(value):
            return value
        try:
            return self._evaluator.evaluate(value, scope)
        except FunctionFailed as exc:
            self._errors.append(BlueprintError(kind=Kind.FUNCTION_EVALUATION, message=f"{what}: {exc}"))
            return value

    def _scalable(self, numbers: Mapping[str, Any], scope: Scope, what: str) -> Mapping[str, Any]:
        if not has_functions(numbers):
            return numbers
        try:
            evaluated: Record = self._evaluator.evaluate(dict(numbers), scope)
        except FunctionFailed as exc:
            self._errors.append(BlueprintError(kind=Kind.FUNCTION_EVALUATION, message=f"{what}: {exc}"))
            return numbers
        if has_functions(evaluated):
            message = f"{what}: the number of instances must be known when the deployment is created"
            self._errors.append(BlueprintError(kind=Kind.SCALABLE, message=message))
            return numbers
        evaluated = {name: _whole(value) for name, value in evaluated.items()}
        for mistake in scalable_mistakes(
            {k: v for k, v in evaluated.items() if k in ("default_instances", "min_instances", "max_instances")}
        ):
            self._errors.append(BlueprintError(kind=Kind.SCALABLE, message=f"{what}: {mistake}"))
        return evaluated


def _whole(value: Any) -> Any:
    if value == "UNBOUNDED":
        return -1
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return value


def inter_deployment_functions(plan: Mapping[str, Any]) -> list[Record]:
    """Return where capabilities of other deployments are used; they become dependencies between deployments.

    An entry names the function's place, and the deployment twice: as written and as known so far.
    """
    found: list[Record] = []
    for node in plan["nodes"]:
        context = {"self": node["id"]}
        _collect(node["properties"], f"nodes.{node['id']}.properties", context, found)
        for name, operation in node["operations"].items():
            if "." in name and operation["has_intrinsic_functions"]:
                _collect(operation["inputs"], f"nodes.{node['id']}.operations.{name}.inputs", context, found)
    for section in ("outputs", "capabilities", "labels", "deployment_settings"):
        _collect(plan.get(section), section, {}, found)
    return found


def _collect(value: Any, path: str, context: Record, found: list[Record]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "get_capability" and isinstance(item, list) and item and function_name(value):
                target = item[0]
                targets = [None if has_functions(target) else target, target]
                entry = {"function_identifier": f"{path}.get_capability", "target_deployment": targets}
                found.append({**entry, "context": context})
            _collect(item, f"{path}.{key}", context, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", context, found)
