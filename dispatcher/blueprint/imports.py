"""Gathers the documents of a blueprint: the main file and everything it imports, breadth first.

The order decides how sections are merged (`merge.py`): a file stands before what it imports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from outrider.dispatcher.blueprint.catalogue import read_blueprint, read_plugin
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, Source, key_mark, value_mark
from outrider.dispatcher.blueprint.namespaces import SEPARATOR, apply_namespace
from outrider.dispatcher.blueprint.plugin_import import with_properties, with_record
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.resolver import Forbidden, NotResolved, Resolver, Text
from outrider.dispatcher.blueprint.settings import Settings
from outrider.dispatcher.blueprint.text import read_tree
from outrider.dispatcher.blueprint.versions import ANY_VERSION, Version, read_version

PLUGIN_PREFIX, BLUEPRINT_PREFIX = "plugin:", "blueprint:"


@dataclass(frozen=True)
class Document:
    """One file with its tree, after its namespace was applied."""

    tree: Map
    source: Source
    base: Union[Path, str, None] = None
    namespace: str = ""
    #: The built-in types.
    bundled: bool = False
    from_blueprint: bool = False


@dataclass(frozen=True)
class Gathered:
    """All documents of a blueprint, the main one first."""

    documents: tuple[Document, ...]
    version: Version
    raw_version: str
    #: Namespace -> id of the blueprint imported under it.
    imported_blueprints: dict[str, str] = field(default_factory=dict)
    #: Function that an imported plugin would add -> the plugin.
    foreign_functions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Request:
    """One entry of an ``imports`` list."""

    name: str
    namespace: str
    properties: Mapping[str, Any]
    importer: Document
    at: Optional[Mark]


def gather(main: Document, root: Path, settings: Settings, problems: Problems) -> Gathered:
    """Return the main document and all imports; findings for those that cannot be read."""
    version, raw = read_version(main.tree, problems, main=None)
    return _Gatherer(main, Resolver(root, settings, version), settings, problems, version, raw).run()


class _Gatherer:
    def __init__(
        self, main: Document, resolver: Resolver, settings: Settings, problems: Problems, version: Version, raw: str
    ) -> None:
        self._resolver = resolver
        self._settings = settings
        self._problems = problems
        self._version = version
        self._raw = raw
        self._documents = [main]
        self._seen = {(main.source.name, "")}
        self._blueprints: dict[str, str] = {}
        self._foreign: dict[str, str] = {}
        self._waiting: deque[_Request] = deque()

    def run(self) -> Gathered:
        self._enqueue(self._documents[0])
        while self._waiting:
            if len(self._documents) > self._settings.most_imports:
                message = f"more than {self._settings.most_imports} files are imported"
                self._problems.add(Kind.TOO_LARGE, message, at=self._waiting[0].at)
                break
            self._take(self._waiting.popleft())
        return Gathered(tuple(self._documents), self._version, self._raw, self._blueprints, self._foreign)

    def _enqueue(self, document: Document) -> None:
        entries = document.tree.get("imports")
        if not isinstance(entries, list):
            return
        names: set[str] = set()
        for index, entry in enumerate(entries):
            at = value_mark(entries, index)
            request = self._request(entry, document, at)
            if request is None:
                continue
            if isinstance(entry, str) and entry in names:
                self._problems.add(Kind.IMPORT_TWICE, f"{entry} is imported twice", at=at)
                continue
            names.add(str(entry))
            self._waiting.append(request)

    def _request(self, entry: object, importer: Document, at: Optional[Mark]) -> Optional[_Request]:
        properties: Mapping[str, Any] = {}
        if isinstance(entry, dict) and len(entry) == 1:
            name, values = next(iter(entry.items()))
            at = key_mark(entry, name)
            properties = values if isinstance(values, dict) else {}
            if self._version < (1, 5) and self._settings.validate_version:
                message = "an import with properties is available from version 1.5 on"
                self._problems.add(Kind.VERSION_TOO_OLD, message, at=at)
        elif isinstance(entry, str):
            name = entry
        else:
            message = "an import is text, or a mapping of one import to its properties"
            self._problems.add(Kind.FORMAT, message, at=at)
            return None
        namespace, name = _split_namespace(name)
        if SEPARATOR in namespace:
            self._problems.add(Kind.NAMESPACE_INVALID, f"the namespace {namespace!r} contains '--'", at=at)
            return None
        if importer.namespace:
            namespace = f"{importer.namespace}{SEPARATOR}{namespace}" if namespace else importer.namespace
        return _Request(name, namespace, properties, importer, at)

    def _take(self, request: _Request) -> None:
        if request.name.startswith(PLUGIN_PREFIX):
            read = read_plugin(request.name, self._settings, self._version, self._problems, at=request.at)
        elif request.name.startswith(BLUEPRINT_PREFIX):
            read = self._blueprint(request)
        else:
            read = self._file(request)
        if read is None or (read.name, request.namespace) in self._seen:
            return
        self._seen.add((read.name, request.namespace))
        chain = (*request.importer.source.chain, request.importer.source.name)
        imported_blueprint = request.name.startswith(BLUEPRINT_PREFIX)
        source = Source(read.name, read.text, chain, any_version=read.bundled or imported_blueprint)
        tree = read_tree(source, self._problems, self._settings.limits)
        if tree is None:
            tree = Map(Mark(source, 1, 1))
        if not isinstance(tree, Map):
            self._problems.add(Kind.YAML, f"{read.name} must be a mapping at its top", at=Mark(source, 1, 1))
            return
        read_version(tree, self._problems, main=self._version if self._settings.validate_version else ANY_VERSION)
        self._add(request, read, source, tree)

    def _add(self, request: _Request, read: Text, source: Source, tree: Map) -> None:
        if read.plugin is not None:
            tree = with_record(tree, read.plugin)
            self._foreign.update(dict.fromkeys(read.plugin.functions, read.plugin.source_name))
        if request.properties:
            tree = with_properties(tree, request.properties, self._problems)
        built_in = read.bundled or holds_built_in_types(tree)
        if built_in and request.namespace != request.importer.namespace:
            message = "the built-in types are imported under a namespace; they belong to all blueprints"
            self._problems.add(Kind.NAMESPACE_TWICE, message, at=request.at)
        namespace = "" if built_in else request.namespace
        document = Document(
            tree=apply_namespace(tree, namespace) if namespace else tree,
            source=source,
            base=read.base,
            namespace=namespace,
            bundled=built_in,
            from_blueprint=request.name.startswith(BLUEPRINT_PREFIX),
        )
        self._documents.append(document)
        self._enqueue(document)

    def _file(self, request: _Request) -> Optional[Text]:
        try:
            return self._resolver.read(request.name, request.importer.base)
        except Forbidden as exc:
            self._problems.add(Kind.IMPORT_FORBIDDEN, str(exc), at=request.at)
        except NotResolved as exc:
            self._problems.add(
                Kind.IMPORT_NOT_FOUND, f"the import {request.name!r} cannot be read: {exc}", at=request.at
            )
        return None

    def _blueprint(self, request: _Request) -> Optional[Text]:
        blueprint_id = request.name.removeprefix(BLUEPRINT_PREFIX)
        own = request.namespace.removeprefix(request.importer.namespace).removeprefix(SEPARATOR)
        if not own:
            message = (
                f"the blueprint {blueprint_id!r} is imported without a namespace; write ns--blueprint:{blueprint_id}"
            )
            self._problems.add(Kind.NAMESPACE_MISSING, message, at=request.at)
            return None
        if request.namespace in self._blueprints:
            message = f"the namespace {request.namespace!r} stands for {self._blueprints[request.namespace]!r} already"
            self._problems.add(Kind.NAMESPACE_TWICE, message, at=request.at)
            return None
        self._blueprints[request.namespace] = blueprint_id
        return read_blueprint(blueprint_id, self._settings, self._problems, at=request.at)


def holds_built_in_types(tree: Map) -> bool:
    """Whether a file is a copy of the built-in types, under whatever name: it defines their root."""
    node_types = tree.get("node_types")
    return isinstance(node_types, dict) and "cloudify.nodes.Root" in node_types


def _split_namespace(name: str) -> tuple[str, str]:
    """Split ``ns--import``; the import itself (a URL, a path) may contain ``--`` further behind."""
    head, separator, rest = name.partition(SEPARATOR)
    if not separator or any(char in head for char in ":/.?"):
        return "", name
    while SEPARATOR in rest:
        more, _, tail = rest.partition(SEPARATOR)
        if any(char in more for char in ":/.?"):
            break
        head, rest = f"{head}{SEPARATOR}{more}", tail
    return head, rest
