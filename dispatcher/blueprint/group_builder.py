"""Builds groups, old policies with their triggers, and the scaling groups that policies make of groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, key_mark, value_mark
from outrider.dispatcher.blueprint.model import NodeTemplate
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.scalable import read_scalable
from outrider.dispatcher.blueprint.scaling_groups import check_scaling_groups
from outrider.dispatcher.blueprint.template_builder import complete_properties
from outrider.dispatcher.blueprint.values import Values

SCALING = "cloudify.policies.scaling"
Record = dict[str, Any]


class GroupBuilder:
    """Builds ``groups``, ``policies`` and ``scaling_groups`` of one blueprint."""

    def __init__(
        self, sections: Mapping[str, Any], templates: Mapping[str, NodeTemplate], values: Values, problems: Problems
    ) -> None:
        self._sections = sections
        self._groups: Mapping[str, Any] = sections.get("groups") or {}
        self._node_names: Mapping[str, Any] = sections.get("node_templates") or {}
        self._templates = templates
        self._values = values
        self._problems = problems

    def groups(self) -> dict[str, Record]:
        """Return the ``groups`` of the plan."""
        built = {}
        for name, raw in self._groups.items():
            entry = raw or {}
            if name in self._node_names:
                message = f"the group {name!r} has the name of a node template"
                self._problems.add(Kind.GROUP_NAME_TAKEN, message, at=key_mark(self._groups, name))
            self._check_members(name, entry)
            policies = {key: self._policy(name, key, entry["policies"]) for key in entry.get("policies") or {}}
            built[name] = {"members": list(entry.get("members") or []), "policies": policies}
        return built

    def _check_members(self, name: str, entry: Mapping[str, Any]) -> None:
        members = entry.get("members")
        if not members:
            message = f"the group {name!r} has no members"
            self._problems.add(Kind.GROUP_EMPTY, message, at=key_mark(self._groups, name))
            return
        known = [*self._node_names, *self._groups]
        for index, member in enumerate(members):
            if member not in self._node_names and member not in self._groups:
                message = f"the group {name!r} has the member {member!r}, which is no node template and no group"
                at = value_mark(members, index)
                self._problems.add(Kind.GROUP_MEMBER_UNKNOWN, message, at=at, suggestion=nearest(str(member), known))

    def _policy(self, group: str, name: str, policies: Mapping[str, Any]) -> Record:
        entry = policies[name]
        what = f"groups.{group}.policies.{name}"
        types = self._sections.get("policy_types") or {}
        schemas = self._known(types, entry, Kind.GROUP_POLICY_TYPE_UNKNOWN, what)
        at = key_mark(policies, name)
        properties = self._complete(
            entry.get("properties"), (schemas or {}).get("properties"), f"{what}.properties", at
        )
        triggers = {}
        for key, trigger in (entry.get("triggers") or {}).items():
            kinds = self._sections.get("policy_triggers") or {}
            found = self._known(kinds, trigger, Kind.TRIGGER_TYPE_UNKNOWN, f"{what}.triggers.{key}")
            parameters = self._complete(
                trigger.get("parameters"), (found or {}).get("parameters"), f"{what}.triggers.{key}.parameters", at
            )
            triggers[key] = {"type": trigger.get("type"), "parameters": parameters}
        return {"type": entry.get("type"), "properties": properties, "triggers": triggers}

    def _known(self, types: Mapping[str, Any], entry: Mapping[str, Any], kind: Kind, what: str) -> Optional[Any]:
        type_name = str(entry.get("type"))
        if type_name not in types:
            message = f"{what} has the type {type_name!r}, which is not defined"
            meant = nearest(str(type_name), types)
            self._problems.add(kind, message, at=value_mark(entry, "type"), suggestion=meant)
            return None
        return types[type_name]

    def _complete(self, given: Any, schemas: Any, what: str, at: Any) -> Map:
        return complete_properties(given or {}, schemas or {}, self._values, self._problems, what=what, at=at)

    def policies(self) -> tuple[dict[str, Record], dict[str, Record]]:
        """Return the ``policies`` and the ``scaling_groups`` of the plan."""
        section = self._sections.get("policies") or {}
        policies: dict[str, Record] = {}
        scaling: dict[str, Record] = {}
        for name, entry in section.items():
            what = f"policies.{name}"
            if entry.get("type") != SCALING:
                message = f"{what} has the type {entry.get('type')!r}; the one type is {SCALING}"
                self._problems.add(Kind.POLICY_TYPE, message, at=value_mark(entry, "type"), suggestion=SCALING)
            targets = entry.get("targets")
            if not targets:
                message = f"{what} has no targets"
                self._problems.add(Kind.POLICY_TARGETS_MISSING, message, at=key_mark(section, name))
            at = value_mark(entry, "properties")
            numbers = read_scalable(entry.get("properties") or {}, self._problems, what=what, at=at)
            policies[name] = {"type": entry.get("type"), "properties": numbers, "targets": list(targets or [])}
            for index, target in enumerate(targets or []):
                if target not in self._groups:
                    message = f"{what} scales {target!r}, which is no group"
                    meant = nearest(str(target), self._groups)
                    mark = value_mark(targets, index)
                    self._problems.add(Kind.POLICY_TARGET_UNKNOWN, message, at=mark, suggestion=meant)
                    continue
                members = list((self._groups[target] or {}).get("members") or [])
                scaling[target] = {"members": members, "properties": numbers}
        return policies, check_scaling_groups(scaling, self._templates, self._groups, self._problems)
