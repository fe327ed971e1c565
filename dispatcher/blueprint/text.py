"""Text → tree with positions: the first stage.

Reads YAML's safe subset from libyaml's events, without recursion, so that neither deep nesting nor a bomb of aliases
costs more than the limits allow. Scalars follow YAML 1.1 as PyYAML's safe loader reads them, except dates, which stay
text because a plan is JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, Seq, Source
from outrider.dispatcher.blueprint.problems import Problems

#: Real blueprints are below 1 MB; this leaves room for generated ones.
LARGEST_FILE_BYTES = 16 * 1024 * 1024
DEEPEST_NESTING = 200
#: Values counted after aliases are expanded, because the plan is JSON and has no aliases.
MOST_VALUES = 5_000_000

_TAG = "tag:yaml.org,2002:"
_SPECIAL_FIRST = frozenset("yYnNtTfFoO~<=.+-0123456789")
_KNOWN_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp"))
_resolver: Any = Resolver()
_constructor = SafeConstructor()
_MERGE = object()


@dataclass(frozen=True)
class Limits:
    """What one file may cost."""

    file_bytes: int = LARGEST_FILE_BYTES
    nesting: int = DEEPEST_NESTING
    values: int = MOST_VALUES


class _Stop(Exception):
    """The rest of the file cannot be read; the finding is recorded already."""


@dataclass
class _Open:
    """A container whose end has not been seen."""

    value: Union[Map, Seq]
    anchor: Optional[str]
    count: int = 1
    key: Any = None
    key_mark: Optional[Mark] = None
    has_key: bool = False
    merges: list[tuple[Any, Mark]] = field(default_factory=list)


def read_tree(source: Source, problems: Problems, limits: Limits = Limits()) -> Optional[Any]:
    """Return the tree of a text, or None when it is empty or cannot be read; findings go to `problems`."""
    if len(source.text) > limits.file_bytes:
        message = f"{source.name} has more than {limits.file_bytes} bytes; split it into imports"
        problems.add(Kind.TOO_LARGE, message, at=Mark(Source(source.name, "", source.chain), 1, 1))
        return None
    reader = _Reader(source, problems, limits)
    try:
        return reader.read()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        at = Mark(source, mark.line + 1, mark.column + 1) if mark else Mark(source, 1, 1)
        problems.add(Kind.YAML, "; ".join(text for text in (exc.context, exc.problem) if text), at=at)
    except yaml.YAMLError as exc:
        problems.add(Kind.YAML, f"not readable as YAML: {exc}", at=Mark(source, 1, 1))
    return None


class _Reader:
    """Turns the events of one text into a tree."""

    def __init__(self, source: Source, problems: Problems, limits: Limits) -> None:
        self._source = source
        self._problems = problems
        self._limits = limits
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._scalars: dict[str, Any] = {}
        self._stack: list[_Open] = []
        self._root: Any = None
        self._total = 0

    def read(self) -> Any:
        loader = yaml.CSafeLoader(self._source.text)
        documents = 0
        try:
            while (event := loader.get_event()) is not None:
                kind = event.__class__
                if kind is ScalarEvent:
                    self._scalar(event)
                elif kind is MappingStartEvent:
                    self._open(Map(self._mark(event)), event)
                elif kind is MappingEndEvent or kind is SequenceEndEvent:
                    self._close()
                elif kind is SequenceStartEvent:
                    self._open(Seq(self._mark(event)), event)
                elif kind is AliasEvent:
                    self._alias(event)
                elif kind is DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self._stop(Kind.YAML, "a second YAML document begins here; a file holds one", self._mark(event))
        finally:
            loader.dispose()
        return self._root

    def _mark(self, event: Any) -> Mark:
        start = event.start_mark
        return Mark(self._source, start.line + 1, start.column + 1)

    def _stop(self, kind: Kind, message: str, at: Mark) -> None:
        self._problems.add(kind, message, at=at)
        raise _Stop

    def _open(self, value: Union[Map, Seq], event: Any) -> None:
        if len(self._stack) >= self._limits.nesting:
            self._stop(Kind.TOO_LARGE, f"nested deeper than {self._limits.nesting} levels", self._mark(event))
        if event.tag is not None and event.tag not in _KNOWN_TAGS and event.tag != "!":
            self._stop(Kind.YAML, f"the tag {event.tag} is not allowed; blueprints use plain YAML", self._mark(event))
        self._stack.append(_Open(value=value, anchor=event.anchor))

    def _close(self) -> None:
        done = self._stack.pop()
        if isinstance(done.value, Map) and done.merges:
            _merge(done.value, done.merges)
        if done.anchor:
            self._anchors[done.anchor] = (done.value, done.count)
        self._put(done.value, done.count, done.value.mark)

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        anchor = event.anchor or ""
        if anchor not in self._anchors:
            inside = any(item.anchor == event.anchor for item in self._stack)
            why = "refers to the value that it stands in" if inside else "is not defined above"
            self._stop(Kind.YAML, f"the alias *{event.anchor} {why}", mark)
        value, count = self._anchors[anchor]
        self._put(value, count, mark)

    def _scalar(self, event: Any) -> None:
        mark = self._mark(event)
        value = self._value_of(event, mark)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, 1, mark)

    def _value_of(self, event: Any, mark: Mark) -> Any:
        text: str = event.value
        if not text.isascii():
            bad = next(char for char in text if not char.isascii())
            self._problems.add(Kind.NOT_ASCII, f"the character {bad!r} is not ASCII", at=mark)
        if event.tag is not None and event.tag != "!" and event.tag not in _KNOWN_TAGS:
            self._stop(Kind.YAML, f"the tag {event.tag} is not allowed; blueprints use plain YAML", mark)
        if event.tag is None and event.implicit[0]:
            if text and text[0] not in _SPECIAL_FIRST:
                return text
            if text not in self._scalars:
                self._scalars[text] = self._resolve(text, None, mark)
            return self._scalars[text]
        if event.tag is None or event.tag in {"!", _TAG + "str"}:
            return text
        return self._resolve(text, event.tag, mark)

    def _resolve(self, text: str, tag: Optional[str], mark: Mark) -> Any:
        tag = tag or _resolver.resolve(ScalarNode, text, (True, False))
        if tag == _TAG + "merge":
            return _MERGE
        if tag in {_TAG + "str", _TAG + "timestamp", _TAG + "value"}:
            return text
        if len(text) > 1000:
            self._stop(Kind.YAML, "a number of more than 1000 digits", mark)
        try:
            return _constructor.construct_object(ScalarNode(tag, text))
        except (ConstructorError, ValueError):
            return self._stop(Kind.YAML, f"{text!r} cannot be read as {tag.removeprefix(_TAG)}", mark)

    def _put(self, value: Any, count: int, mark: Optional[Mark]) -> None:
        assert mark is not None  # noqa: S101 - every value of a text has a place
        self._total += 1
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        top.count += count
        if top.count > self._limits.values or self._total > self._limits.values:
            message = f"more than {self._limits.values} values once aliases are expanded"
            self._stop(Kind.TOO_LARGE, message, mark)
        if isinstance(top.value, Seq):
            top.value.append(value)
            top.value.items_at.append(mark)
        elif not top.has_key:
            self._key(top, value, mark)
        else:
            top.has_key = False
            if top.key is _MERGE:
                top.merges.append((value, mark))
                return
            top.value[top.key] = value
            if top.key_mark is not None:
                top.value.keys_at[top.key] = top.key_mark
            top.value.values_at[top.key] = mark

    def _key(self, top: _Open, value: Any, mark: Mark) -> None:
        if isinstance(value, (Map, Seq)):
            self._stop(Kind.YAML, "a key is a word, not a mapping or a list", mark)
        if value is not _MERGE and not isinstance(value, str):
            # Keys of JSON are strings; this is how JSON writes the others.
            value = json.dumps(value)
        if value is not _MERGE and value in top.value:
            self._source.duplicates.append((value, mark))
        top.key, top.key_mark, top.has_key = value, mark, True


def _merge(target: Map, merges: list[tuple[Any, Mark]]) -> None:
    """Apply ``<<`` entries: a mapping, or a list of mappings of which the first wins; own keys win over all."""
    for merged, _ in merges:
        for origin in merged if isinstance(merged, list) else [merged]:
            if not isinstance(origin, dict):
                continue
            for key, value in origin.items():
                if key not in target:
                    target.put(key, value, origin=origin)
