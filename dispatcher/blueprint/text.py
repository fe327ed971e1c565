"""Text → tree with positions: the first stage.

Reads YAML's safe subset from libyaml's events, without recursion, so that neither deep nesting nor a bomb of aliases
costs more than the limits allow. Scalars follow YAML 1.1 as PyYAML's safe loader reads them, except dates, which stay
text because a plan is JSON.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
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
from outrider.dispatcher.blueprint.located import Entry, Map, Mark, Seq, Source
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


@dataclass(slots=True)
class _Open:
    """A container whose end has not been seen."""

    value: Union[Map, Seq]
    anchor: Optional[str]
    #: How many values the text had before this one.
    before: int
    #: The key that waits for its value, and where the parser saw it; None when the next value is a key.
    key: Any = None
    key_at: Any = None
    merges: tuple[Any, ...] = ()


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
        self._nesting, self._most = limits.nesting, limits.values
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
                    self._open(Map(self._mark(event.start_mark)), event)
                elif kind is MappingEndEvent or kind is SequenceEndEvent:
                    self._close()
                elif kind is SequenceStartEvent:
                    self._open(Seq(self._mark(event.start_mark)), event)
                elif kind is AliasEvent:
                    self._alias(event)
                elif kind is DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        message = "a second YAML document begins here; a file holds one"
                        self._stop(Kind.YAML, message, event.start_mark)
        finally:
            loader.dispose()
        return self._root

    def _mark(self, start: Any) -> Mark:
        """Return the place of what the parser saw; it counts from 0."""
        return Mark(self._source, start.line + 1, start.column + 1)

    def _stop(self, kind: Kind, message: str, start: Any) -> None:
        self._problems.add(kind, message, at=self._mark(start))
        raise _Stop

    def _open(self, value: Union[Map, Seq], event: Any) -> None:
        if len(self._stack) >= self._nesting:
            self._stop(Kind.TOO_LARGE, f"nested deeper than {self._nesting} levels", event.start_mark)
        self._refuse_tag(event)
        # The container takes its place at once: what follows it in the text may be its own content only.
        self._put(value, 1, event.start_mark)
        self._stack.append(_Open(value, event.anchor, self._total))

    def _close(self) -> None:
        done = self._stack.pop()
        if done.merges and isinstance(done.value, Map):
            _merge(done.value, done.merges)
        if done.anchor:
            self._anchors[done.anchor] = (done.value, self._total - done.before + 1)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            inside = any(item.anchor == event.anchor for item in self._stack)
            why = "refers to the value that it stands in" if inside else "is not defined above"
            self._stop(Kind.YAML, f"the alias *{event.anchor} {why}", event.start_mark)
        value, count = self._anchors[event.anchor]
        self._put(value, count, event.start_mark)

    def _scalar(self, event: Any) -> None:
        value = self._value_of(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, 1, event.start_mark)

    def _value_of(self, event: Any) -> Any:
        text: str = event.value
        if not text.isascii():
            bad = next(char for char in text if not char.isascii())
            self._problems.add(Kind.NOT_ASCII, f"the character {bad!r} is not ASCII", at=self._mark(event.start_mark))
        if event.tag is not None:
            self._refuse_tag(event)
            return text if event.tag in {"!", _TAG + "str"} else self._resolve(text, event.tag, event.start_mark)
        if not event.implicit[0] or (text and text[0] not in _SPECIAL_FIRST):
            return text
        if text not in self._scalars:
            self._scalars[text] = self._resolve(text, None, event.start_mark)
        return self._scalars[text]

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _KNOWN_TAGS and event.tag != "!":
            message = f"the tag {event.tag} is not allowed; blueprints use plain YAML"
            self._stop(Kind.YAML, message, event.start_mark)

    def _resolve(self, text: str, tag: Optional[str], start: Any) -> Any:
        tag = tag or _resolver.resolve(ScalarNode, text, (True, False))
        if tag == _TAG + "merge":
            return _MERGE
        if tag in {_TAG + "str", _TAG + "timestamp", _TAG + "value"}:
            return text
        if len(text) > 1000:
            self._stop(Kind.YAML, "a number of more than 1000 digits", start)
        try:
            value = _constructor.construct_object(ScalarNode(tag, text))
        except (ConstructorError, ValueError):
            return self._stop(Kind.YAML, f"{text!r} cannot be read as {tag.removeprefix(_TAG)}", start)
        if isinstance(value, float) and not math.isfinite(value):
            message = f"{text} is no number that JSON, and so a plan, can hold; put it into quotes if text is meant"
            self._problems.add(Kind.YAML, message, at=self._mark(start))
        return value

    def _put(self, value: Any, count: int, start: Any) -> None:
        """Give a value to the container that is open: as an item, as a key, or as the value of the key before."""
        self._total += count
        if self._total > self._most:
            self._stop(Kind.TOO_LARGE, f"more than {self._most} values once aliases are expanded", start)
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        container, key_at = top.value, top.key_at
        if isinstance(container, Seq):
            container.append(value)
            container.items_at.append(self._mark(start))
        elif key_at is None:
            top.key, top.key_at = self._key(container, value, start), start
        else:
            top.key_at = None
            if top.key is _MERGE:
                top.merges += (value,)
                return
            container[top.key] = value
            container.entries_at[top.key] = Entry(
                self._source, key_at.line + 1, key_at.column + 1, start.line + 1, start.column + 1
            )

    def _key(self, container: Map, value: Any, start: Any) -> Any:
        if isinstance(value, (Map, Seq)):
            self._stop(Kind.YAML, "a key is a word, not a mapping or a list", start)
        if value is not _MERGE and not isinstance(value, str):
            # Keys of JSON are strings; this is how JSON writes the others.
            value = json.dumps(value)
        if value in container:
            self._source.duplicates.append((value, self._mark(start)))
        return value


def _merge(target: Map, merges: tuple[Any, ...]) -> None:
    """Apply ``<<`` entries: a mapping, or a list of mappings of which the first wins; own keys win over all."""
    for merged in merges:
        for origin in merged if isinstance(merged, list) else [merged]:
            if not isinstance(origin, dict):
                continue
            for key, value in origin.items():
                if key not in target:
                    target.put(key, value, origin=origin)
