"""Facts at run time: the living deployment, through the caller's `Storage`."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.errors import FunctionFailed
from outrider.dispatcher.blueprint.functions.evaluate import Evaluator, follow, usage
from outrider.dispatcher.blueprint.functions.markers import is_marker, read_path, secret_marker
from outrider.dispatcher.blueprint.functions.scope import Instance, Scope, Storage

_WORDS = frozenset({"SELF", "SOURCE", "TARGET"})


class RuntimeFacts:
    """Answers every ``get_…`` function from a storage; scopes name node instances.

    With `secret_values`, secrets are read here; without, they stay references that the agent redeems.
    """

    def __init__(self, storage: Storage, *, secret_values: bool) -> None:
        self._storage = storage
        self.references = not secret_values

    def get(self, name: str, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        """Return a result; raises `FunctionFailed` when the thing that is asked for does not exist."""
        handler = getattr(self, f"_{name}")
        try:
            return handler(arguments, scope, evaluator)
        except KeyError as exc:
            raise FunctionFailed(f"{name}: there is no {exc.args[0] if exc.args else arguments!r}") from exc
        except (IndexError, TypeError, ValueError) as exc:
            raise FunctionFailed(f"{usage(name)}: {exc}") from exc

    def _get_input(self, arguments: list[Any], _scope: Scope, evaluator: Evaluator) -> Any:
        name, *path = arguments
        inputs = self._storage.inputs()
        if name not in inputs:
            raise FunctionFailed(f"get_input: there is no input {name!r}")
        value = evaluator.referred(("input", str(name)), inputs[name], Scope())
        return follow(value, path, what=f"get_input: the input {name!r}")

    def _get_property(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        subject, *path = arguments
        if subject in _WORDS:
            instance = self._storage.instance(_known(scope, subject, "get_property"))
            node_name, inner = instance["node_id"], Scope(self_id=instance["id"])
        else:
            node_name, inner = subject, self._scope_of(subject, scope)
        properties = self._storage.node(node_name)["properties"]
        return self._property(node_name, properties, path, inner, evaluator)

    def _property(self, node_name: str, properties: Any, path: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        value = properties
        for position, step in enumerate(path):
            value = follow(value, [step], what=f"get_property: {'.'.join([node_name, *map(str, path[:position])])}")
            if isinstance(value, dict) and not is_marker(value):
                value = evaluator.referred(("node", node_name, *map(str, path[: position + 1])), value, scope)
            elif is_marker(value):
                return follow(value, path[position + 1 :], what=f"get_property: {node_name}")
            elif isinstance(value, list):
                value = evaluator.evaluate(value, scope)
        return value

    def _scope_of(self, node_name: str, scope: Scope) -> Scope:
        """SELF inside another node's property means that node's instance, when one can be told."""
        try:
            return Scope(self_id=self._choose(node_name, scope)["id"])
        except FunctionFailed:
            return Scope()

    def _get_attribute(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        subject, *path = arguments
        if subject in _WORDS:
            instance = self._storage.instance(_known(scope, subject, "get_attribute"))
        else:
            self._storage.node(subject)
            instance = self._choose(subject, scope)
        return self._attribute(instance, path, evaluator)

    def _get_attributes_list(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        subject, *path = arguments
        return [self._attribute(instance, path, evaluator) for instance in self._all(subject, scope)]

    def _get_attributes_dict(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        subject, *wanted = arguments
        paths = [item if isinstance(item, list) else [item] for item in wanted]
        return {
            instance["id"]: {".".join(map(str, path)): self._attribute(instance, path, evaluator) for path in paths}
            for instance in self._all(subject, scope)
        }

    def _all(self, subject: str, scope: Scope) -> list[Instance]:
        if subject in _WORDS:
            subject = self._storage.instance(_known(scope, subject, "get_attributes"))["node_id"]
        self._storage.node(subject)
        return sorted(self._storage.instances(subject), key=lambda item: (item.get("index") or 0, item["id"]))

    def _attribute(self, instance: Instance, path: list[Any], evaluator: Evaluator) -> Any:
        """Runtime properties first, then the two pseudo names, then the node's properties; else None."""
        name, scope = path[0], Scope(self_id=instance["id"])
        runtime = instance.get("runtime_properties") or {}
        if name in runtime:
            value = runtime[name]
        elif name == "node_instance_id":
            value = instance["id"]
        elif name == "node_instance_index":
            value = instance.get("index")
        else:
            value = self._storage.node(instance["node_id"])["properties"].get(name)
        value = evaluator.referred(("instance", instance["id"], *map(str, path)), value, scope)
        try:
            return follow(value, path[1:], what="get_attribute")
        except FunctionFailed:
            return None

    def _choose(self, node_name: str, scope: Scope) -> Instance:
        """Return the one instance of a node that is meant: related to the asking one, or in its scaling group."""
        instances = list(self._storage.instances(node_name))
        if len(instances) == 1:
            return instances[0]
        if not instances:
            raise FunctionFailed(f"the node {node_name!r} has no instance")
        for asking in [item for item in (scope.self_id, scope.source_id, scope.target_id) if item]:
            own = self._storage.instance(asking)
            if own["node_id"] == node_name:
                return own
            for candidates in (self._related(own, instances), _sharing_group(own, instances)):
                if len(candidates) == 1:
                    return candidates[0]
        raise FunctionFailed(
            f"the node {node_name!r} has {len(instances)} instances, and none of them is related to the asking one; "
            f"use get_attributes_list, or a relationship"
        )

    def _related(self, own: Instance, instances: list[Instance]) -> list[Instance]:
        targets = {item["target_id"] for item in own.get("relationships") or ()}
        return [item for item in instances if item["id"] in targets]

    def _get_secret(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        name, *path = arguments
        if self.references:
            return secret_marker(str(name), path)
        value = self._storage.secret(str(name))
        try:
            return read_path(value, path)
        except (KeyError, IndexError, TypeError, ValueError):
            raise FunctionFailed(f"get_secret: the secret {name!r} has no {'.'.join(map(str, path))}") from None

    def _get_capability(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        deployment, name, *path = arguments
        value = self._storage.capability(deployment, name)
        return follow(value, path, what=f"get_capability: {deployment}.{name}")

    def _get_group_capability(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        group, wanted, *path = arguments
        found = {}
        for deployment in self._storage.group_deployments(group):
            if isinstance(wanted, list):
                found[deployment] = [self._storage.capability(deployment, name) for name in wanted]
            else:
                value = self._storage.capability(deployment, wanted)
                found[deployment] = follow(value, path, what=f"get_group_capability: {deployment}.{wanted}")
        return found

    def _get_environment_capability(self, arguments: list[Any], scope: Scope, evaluator: Evaluator) -> Any:
        return self._get_capability([self._storage.parent_deployment(), *arguments], scope, evaluator)

    def _get_label(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        key, *index = arguments
        values = self._storage.labels().get(key)
        if values is None:
            raise KeyError(f"label {key!r}")
        if index:
            return values[int(index[0])]
        return list(values)

    def _get_sys(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        subject, name = arguments
        return self._storage.system_fact(subject, name)

    def _get_consumers(self, arguments: list[Any], _scope: Scope, _evaluator: Evaluator) -> Any:
        consumers = self._storage.consumers()
        match arguments[0]:
            case "ids":
                return [item["id"] for item in consumers]
            case "names":
                return [item["display_name"] for item in consumers]
            case "count":
                return len(consumers)
        raise ValueError(f"{arguments[0]!r} is not ids, names or count")


def _known(scope: Scope, word: str, function: str) -> str:
    found = scope.of(word)
    if found is None:
        raise FunctionFailed(f"{function}: {word} has no meaning here")
    return found


def _sharing_group(own: Instance, instances: list[Instance]) -> list[Instance]:
    groups = {item["id"] for item in own.get("scaling_groups") or ()}
    return [item for item in instances if groups & {group["id"] for group in item.get("scaling_groups") or ()}]
