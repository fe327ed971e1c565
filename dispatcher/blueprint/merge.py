"""Merges the documents of a blueprint into one mapping of sections, by the ecosystem's rules."""

from __future__ import annotations

from typing import Any, Optional

from outrider.dispatcher.blueprint.imports import Document
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, Seq, key_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.versions import Version

#: Merged in every version of the language.
_MERGED = frozenset(
    {"node_types", "plugins", "workflows", "relationships", "policy_types", "policy_triggers", "groups", "data_types"}
)
#: Merged from version 1.3 on.
_MERGED_SINCE_1_3 = frozenset(
    {"inputs", "outputs", "node_templates", "capabilities", "labels", "blueprint_labels", "resource_tags"}
)
_FIRST_WINS = frozenset({"description", "metadata"})
_NEVER_CARRIED = frozenset({"dsl_definitions", "imports", "tosca_definitions_version"})
_FIRST_ENTRY_WINS = frozenset({"labels", "blueprint_labels", "resource_tags"})
BUILT_IN_PREFIX = "cloudify."


def merge_documents(documents: tuple[Document, ...], version: Version, problems: Problems) -> Map:
    """Return the sections of all documents; findings for names that two files define."""
    merger = _Merger(version, problems)
    for document in documents:
        merger.add(document)
    return merger.sections


class _Merger:
    def __init__(self, version: Version, problems: Problems) -> None:
        self.sections = Map()
        self._version = version
        self._problems = problems
        #: (section, name) that the built-in types define.
        self._built_in: set[tuple[str, str]] = set()

    def add(self, document: Document) -> None:
        if self.sections.at is None:
            self.sections.at = document.tree.at
        main = not document.source.chain
        for section, value in document.tree.items():
            if section in _NEVER_CARRIED and not main:
                continue
            if section not in self.sections:
                self._first(section, value, document)
            else:
                self._again(section, value, document)
            if document.bundled and isinstance(value, dict):
                self._built_in.update((section, name) for name in value)

    def _first(self, section: str, value: Any, document: Document) -> None:
        if isinstance(value, Map) and (section in _MERGED or section in _MERGED_SINCE_1_3):
            copy = Map(value.mark)
            for name, item in value.items():
                copy.put(name, item, origin=value)
            value = copy
        self.sections.put(section, value, origin=document.tree)

    def _again(self, section: str, value: Any, document: Document) -> None:
        if section in _FIRST_WINS or value is None:
            return
        mergeable = section in _MERGED or (section in _MERGED_SINCE_1_3 and self._version >= (1, 3))
        if not mergeable:
            message = f"the section {section} stands in two files; only one may have it"
            self._problems.add(Kind.IMPORT_SECTION_TWICE, message, at=key_mark(document.tree, section))
            return
        target = self.sections[section]
        if target is None:
            self._first(section, value, document)
            return
        if not isinstance(target, Map) or not isinstance(value, Map):
            # The form is wrong somewhere; the check of forms says where.
            return
        for name, item in value.items():
            self._entry(section, target, name, item, value, document)

    def _entry(self, section: str, target: Map, name: str, item: Any, origin: Map, document: Document) -> None:
        if name not in target:
            target.put(name, item, origin=origin)
        elif section == "workflows":
            self._workflow(target, name, item, origin, document)
        elif section in _FIRST_ENTRY_WINS:
            return
        elif section == "node_templates" and _only_relationships(target[name], item):
            _join_relationships(target, name, item, origin)
        elif name.startswith(BUILT_IN_PREFIX) or document.bundled or (section, name) in self._built_in:
            target.put(name, item, origin=origin)
        elif item != target[name] or not _same_place(key_mark(target, name), key_mark(origin, name)):
            where = key_mark(target, name)
            other = f" (first in {where.source.name}, line {where.line})" if where else ""
            message = f"{section}: {name!r} is defined twice{other}; rename one, or import it under a namespace"
            self._problems.add(Kind.IMPORT_CONFLICT, message, at=key_mark(origin, name))

    def _workflow(self, target: Map, name: str, item: Any, origin: Map, document: Document) -> None:
        """Missing keys are filled in from later files; a built-in workflow beats a blueprint's own."""
        if document.bundled or (isinstance(item, dict) is not isinstance(target[name], dict)):
            if document.bundled:
                target.put(name, item, origin=origin)
            return
        if not isinstance(item, Map) or not isinstance(target[name], Map):
            return
        filled = Map(target[name].mark)
        for source in (target[name], item):
            for key, value in source.items():
                if key not in filled:
                    filled.put(key, value, origin=source)
        target[name] = filled


def _same_place(first: Optional[Mark], second: Optional[Mark]) -> bool:
    return first is not None and second is not None and first[1:] == second[1:] and first.source is second.source


def _only_relationships(first: Any, second: Any) -> bool:
    """Whether one of two definitions of a node template holds relationships only: then they are joined."""
    return any(isinstance(item, dict) and set(item) == {"relationships"} for item in (first, second))


def _join_relationships(target: Map, name: str, item: Any, origin: Map) -> None:
    first, second = target[name], item
    joined = Map(first.mark if isinstance(first, Map) else None)
    for part in (first, second):
        for key, value in part.items():
            if key not in joined:
                joined.put(key, value, origin=part)
    relationships = Seq(joined.mark)
    for part in (first, second):
        entries = part.get("relationships") or []
        relationships.extend(entries)
        relationships.items_at.extend(getattr(entries, "items_at", []))
    joined["relationships"] = relationships
    target[name] = joined
    if name not in target.entries_at:
        target.put(name, joined, origin=origin)
