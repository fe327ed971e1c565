"""Facts at creation: the plan's nodes and the deployment's inputs. Everything else waits for run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.blueprint.errors import FunctionFailed
from outrider.dispatcher.blueprint.functions.evaluate import Evaluator, NotYet, follow
from outrider.dispatcher.blueprint.functions.names import has_functions
from outrider.dispatcher.blueprint.functions.scope import Scope


class CreationFacts:
    """Answers get_input and get_property from a plan; scopes name node templates."""

    references = False

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._inputs = inputs

    def get(self, name: str, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        """Return a result, or raise `NotYet` for what only a living deployment knows."""
        if name == "get_input":
            return self._input(arguments, evaluator)
        if name == "get_property":
            return self._property(arguments, scope, evaluator)
        raise NotYet

    def _input(self, arguments: list[Any], evaluator: Evaluator) -> Any:
        name, *path = arguments
        if name not in self._inputs:
            raise FunctionFailed(f"get_input: there is no input {name!r}")
        value = evaluator.referred(("input", str(name)), self._inputs[name], Scope())
        return follow(value, path, what=f"get_input: the input {name!r}")

    def _property(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        subject, *path = arguments
        node_name = scope.of(subject) if subject in {"SELF", "SOURCE", "TARGET"} else subject
        if node_name is None:
            raise FunctionFailed(f"get_property: {subject} has no meaning here")
        node = self._nodes.get(node_name)
        if node is None:
            raise FunctionFailed(f"get_property: there is no node template {node_name!r}")
        value = evaluator_path(node["properties"], path, node_name, evaluator)
        if has_functions(value) and node_name != scope.self_id:
            # SELF inside the found value means the other node: it is evaluated where that is known.
            raise NotYet
        return value


def evaluator_path(properties: Mapping[str, Any], path: list[Any], node_name: str, evaluator: Evaluator) -> Any:
    """Return the property at `path`; functions on the way are evaluated on the node's own behalf."""
    value: Any = properties
    for position, step in enumerate(path):
        value = follow(value, [step], what=f"get_property: {'.'.join([node_name, *map(str, path[:position])])}")
        reference = ("node", node_name, *map(str, path[: position + 1]))
        value = evaluator.referred(reference, value, Scope(self_id=node_name)) if _calls(value) else value
    if isinstance(value, (dict, list)):
        reference = ("node", node_name, *map(str, path))
        value = evaluator.referred(reference, value, Scope(self_id=node_name))
    return value


def _calls(value: Any) -> bool:
    return isinstance(value, dict) and has_functions(value) and len(value) <= 2
