"""Typed model → plan: the JSON form that the REST API shows and a deployment is made of.

The shape is the ecosystem's, key by key, so that another implementation's plan of the same blueprint can be compared.
Records that many nodes share (operations of a type) are shared objects: a plan is read, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outrider.dispatcher.blueprint.implementations import Ambiguous, Implementations, NoPlugin, ReservedInput
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.model import Model, NodeTemplate, Relationship
from outrider.dispatcher.blueprint.operations import CENTRAL, HOST, Interfaces, Operation
from outrider.dispatcher.blueprint.problems import Problems

Record = dict[str, Any]


@dataclass
class _Side:
    """Interfaces and operations as the plan shows them, and the plugins that they use."""

    interfaces: Record
    operations: Record
    #: (plugin, executor) in the order of use.
    plugins: tuple[tuple[str, str], ...]


@dataclass
class _Uses:
    """Which plugins a node's operations use, where."""

    entries: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, plugins: tuple[tuple[str, str], ...]) -> None:
        self.entries.update(dict.fromkeys(plugins))


class NodePlanner:
    """Builds the ``nodes`` of a plan."""

    def __init__(self, model: Model, implementations: Implementations, problems: Problems) -> None:
        self._model = model
        self._implementations = implementations
        self._problems = problems
        #: By identity of the interfaces, which templates of one type share; the model keeps them alive.
        self._sides: dict[int, _Side] = {}
        self._operations: dict[int, tuple[Record, Record]] = {}
        self._uses: dict[str, _Uses] = {name: _Uses() for name in model.node_templates}

    def nodes(self) -> list[Record]:
        """Return one record per node template, in the order of the blueprint."""
        records = [self._node(template) for template in self._model.node_templates.values()]
        for record in records:
            self._plugins(record)
        return records

    def _node(self, template: NodeTemplate) -> Record:
        side = self._side(template.interfaces, template, Kind.OPERATION_PLUGIN_UNKNOWN)
        self._uses[template.name].add(side.plugins)
        record: Record = {
            "type": template.type.name,
            "instances": template.instances,
            "capabilities": {"scalable": {"properties": dict(template.scalable)}},
            "interfaces": side.interfaces,
            "relationships": [self._relationship(item, template) for item in template.relationships],
            "properties": template.properties,
            "name": template.name,
            "id": template.name,
            "type_hierarchy": list(template.type.hierarchy),
            "operations": side.operations,
        }
        host = self._model.hosts.get(template.name)
        if host is not None:
            record["host_id"] = host
        return record

    def _relationship(self, relationship: Relationship, template: NodeTemplate) -> Record:
        kind = Kind.RELATIONSHIP_PLUGIN_UNKNOWN
        source = self._side(relationship.source_interfaces, template, kind)
        target = self._side(relationship.target_interfaces, template, kind)
        self._uses[template.name].add(source.plugins)
        if relationship.target in self._uses:
            self._uses[relationship.target].add(target.plugins)
        return {
            "type": relationship.type.name,
            "properties": relationship.properties,
            "source_interfaces": source.interfaces,
            "target_interfaces": target.interfaces,
            "type_hierarchy": list(relationship.type.hierarchy),
            "target_id": relationship.target,
            "source_operations": source.operations,
            "target_operations": target.operations,
        }

    def _side(self, interfaces: Interfaces, template: NodeTemplate, kind: Kind) -> _Side:
        known = self._sides.get(id(interfaces))
        if known is None:
            known = self._sides[id(interfaces)] = self._build_side(interfaces, template, kind)
        return known

    def _build_side(self, interfaces: Interfaces, template: NodeTemplate, kind: Kind) -> _Side:
        shown: Record = {}
        full: dict[str, tuple[str, Record]] = {}
        plugins: dict[tuple[str, str], None] = {}
        counts: dict[str, int] = {}
        for interface, operations in interfaces.items():
            shown[interface] = {}
            for name, operation in operations.items():
                full_name = f"{interface}.{name}"
                shown[interface][name], record = self._records(operation, full_name, template, kind)
                full[full_name] = (name, record)
                counts[name] = counts.get(name, 0) + 1
                if record["plugin"]:
                    plugins[record["plugin"], record["executor"]] = None
        named: Record = {}
        for full_name, (name, record) in full.items():
            if counts[name] == 1:
                named[name] = record
            named[full_name] = record
        return _Side(shown, named, tuple(plugins))

    def _records(self, operation: Operation, name: str, template: NodeTemplate, kind: Kind) -> tuple[Record, Record]:
        """Return an operation as ``interfaces`` and as ``operations`` show it; templates share those of their type."""
        known = self._operations.get(id(operation))
        if known is None:
            record = self._operation(operation, name, template, kind)
            known = self._operations[id(operation)] = (operation.record(), record)
        return known

    def _operation(self, operation: Operation, name: str, template: NodeTemplate, kind: Kind) -> Record:
        what, at = f"the operation {name} of {template.name!r}", operation.at or template.at
        try:
            return self._implementations.record(operation)
        except NoPlugin as exc:
            meant = self._implementations.suggestion(operation.implementation)
            self._problems.add(kind, f"{what}: {exc}", at=at, suggestion=meant)
        except Ambiguous as exc:
            self._problems.add(Kind.OPERATION_AMBIGUOUS, f"{what}: {exc}", at=at)
        except ReservedInput as exc:
            self._problems.add(Kind.SCRIPT_INPUT_RESERVED, f"{what}: {exc}", at=at)
        return self._implementations.record(Operation())

    def _plugins(self, record: Record) -> None:
        """Add which plugins a node's operations use, and which of them are installed where."""
        name = record["name"]
        entries = [self._plugin_entry(plugin, executor, name) for plugin, executor in self._uses[name].entries]
        record["plugins"] = entries
        if self._model.hosts.get(name) == name:
            record["plugins_to_install"] = self._host_plugins(name)
        record["deployment_plugins_to_install"] = installable(entries, CENTRAL)

    def _plugin_entry(self, plugin: str, executor: str, node: str) -> Record:
        known = self._model.plugins.get(plugin)
        if known is None:
            return {"name": plugin, "executor": executor, "install": False}
        if executor == HOST and node not in self._model.hosts:
            at = self._model.node_templates[node].at
            message = f"{node!r} runs the plugin {plugin!r} on a host agent, and is not contained in a Compute node"
            self._problems.add(Kind.HOST_MISSING, message, at=at)
        return {**known.record, "executor": executor}

    def _host_plugins(self, host: str) -> list[Record]:
        found: dict[str, Record] = {}
        for name, of in self._contained().get(host, {}).items():
            for plugin, executor in of:
                entry = self._plugin_entry(plugin, executor, name)
                if executor == HOST:
                    found.setdefault(plugin, entry)
        return list(found.values())

    def _contained(self) -> Mapping[str, dict[str, dict[tuple[str, str], None]]]:
        """Return host -> node -> uses; computed once."""
        if not hasattr(self, "_by_host"):
            self._by_host: dict[str, dict[str, dict[tuple[str, str], None]]] = {}
            for node, host in self._model.hosts.items():
                self._by_host.setdefault(host, {})[node] = self._uses[node].entries
        return self._by_host


def installable(entries: list[Record], executor: str) -> list[Record]:
    """Return the plugins of `entries` that an executor needs; ``install`` says which of them it installs."""
    return [entry for entry in entries if entry["executor"] == executor]


def unique_by_name(lists: list[list[Record]]) -> list[Record]:
    """Join lists of plugins; the first of a name stays."""
    found: dict[str, Record] = {}
    for entries in lists:
        for entry in entries:
            found.setdefault(entry["name"], entry)
    return list(found.values())
