"""Text → tree with positions: the first stage.

Reads YAML's safe subset from libyaml's events, without recursion, so that neither deep nesting nor a bomb of aliases
costs more than the limits allow. Scalars follow YAML 1.1 as PyYAML's safe loader reads them, except dates, which stay
text because a plan is JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional, Union

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
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
_UNSEEN = object()


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
    anchor: Optional[str] = None
    #: How many values the text had before this one.
    before: int = 0
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
    """Turns the events of one text into a tree.

    A blueprint has as many events as it has words, so what happens for each of them is short: a table finds the method,
    and a scalar that was seen before is looked up.
    """

    def __init__(self, source: Source, problems: Problems, limits: Limits) -> None:
        self._source = source
        self._problems = problems
        self._nesting, self._most = limits.nesting, limits.values
        self._anchors: dict[str, tuple[Any, int]] = {}
        #: Text of a plain scalar -> its value: equal words become one object.
        self._scalars: dict[str, Any] = {}
        #: Holds the root of the document; empty where the text is.
        self._roots = Seq()
        #: Innermost container last.
        self._stack = [_Open(self._roots)]
        self._top = self._stack[0]
        self._total = 0
        self._documents = 0

    def read(self) -> Any:
        loader = yaml.CSafeLoader(self._source.text)
        steps: dict[type, Callable[[Any], None]] = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._open_map,
            MappingEndEvent: self._close,
            SequenceStartEvent: self._open_seq,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
            DocumentStartEvent: self._document,
            DocumentEndEvent: _pass_over,
            StreamStartEvent: _pass_over,
            StreamEndEvent: _pass_over,
        }
        try:
            while (event := loader.get_event()) is not None:
                steps[event.__class__](event)
        finally:
            loader.dispose()
        return self._roots[0] if self._roots else None

    def _mark(self, start: Any) -> Mark:
        """Return the place of what the parser saw; it counts from 0."""
        return Mark(self._source, start.line + 1, start.column + 1)

    def _stop(self, kind: Kind, message: str, start: Any) -> None:
        self._problems.add(kind, message, at=self._mark(start))
        raise _Stop

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(Kind.YAML, "a second YAML document begins here; a file holds one", event.start_mark)

    def _open_map(self, event: Any) -> None:
        start = event.start_mark
        self._open(Map((self._source, start.line + 1, start.column + 1)), event)

    def _open_seq(self, event: Any) -> None:
        start = event.start_mark
        self._open(Seq((self._source, start.line + 1, start.column + 1)), event)

    def _open(self, value: Union[Map, Seq], event: Any) -> None:
        if len(self._stack) > self._nesting:
            self._stop(Kind.TOO_LARGE, f"nested deeper than {self._nesting} levels", event.start_mark)
        if event.tag is not None:
            self._refuse_tag(event)
        # The container takes its place at once: what follows it in the text may be its own content only.
        self._put(value, 1, event.start_mark)
        self._top = _Open(value, event.anchor, self._total)
        self._stack.append(self._top)

    def _close(self, _event: Any) -> None:
        done = self._stack.pop()
        self._top = self._stack[-1]
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
        if event.tag is None and event.implicit[0]:
            text = event.value
            value = self._scalars.get(text, _UNSEEN)
            if value is _UNSEEN:
                value = self._plain(text, event.start_mark)
        else:
            value = self._quoted_or_tagged(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, 1, event.start_mark)

    def _plain(self, text: str, start: Any) -> Any:
        """Return the value of a scalar without quotes and tag."""
        remember = self._is_ascii(text, start)
        value = text if text and text[0] not in _SPECIAL_FIRST else self._resolve(text, None, start)
        if remember:
            self._scalars[text] = value
        return value

    def _quoted_or_tagged(self, event: Any) -> Any:
        text: str = event.value
        self._is_ascii(text, event.start_mark)
        if event.tag is None:
            return text
        self._refuse_tag(event)
        return text if event.tag in {"!", _TAG + "str"} else self._resolve(text, event.tag, event.start_mark)

    def _is_ascii(self, text: str, start: Any) -> bool:
        if text.isascii():
            return True
        bad = next(char for char in text if not char.isascii())
        self._problems.add(Kind.NOT_ASCII, f"the character {bad!r} is not ASCII", at=self._mark(start))
        return False

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
        top = self._top
        container, key_at = top.value, top.key_at
        if isinstance(container, Seq):
            container.append(value)
            container.items_at.append((self._source, start.line + 1, start.column + 1))
        elif key_at is None:
            key = value if value.__class__ is str else self._key(value, start)
            if key in container:
                self._source.duplicates.append((key, self._mark(start)))
            top.key, top.key_at = key, start
        else:
            top.key_at = None
            if top.key is _MERGE:
                top.merges += (value,)
                return
            container[top.key] = value
            entry = (self._source, key_at.line + 1, key_at.column + 1, start.line + 1, start.column + 1)
            container.entries_at[top.key] = entry

    def _key(self, value: Any, start: Any) -> Any:
        """Return the key that is meant by a value that is not text."""
        if isinstance(value, (Map, Seq)):
            self._stop(Kind.YAML, "a key is a word, not a mapping or a list", start)
        # Keys of JSON are strings; this is how JSON writes the others.
        return value if value is _MERGE else json.dumps(value)


def _pass_over(_event: Any) -> None:
    """An event that adds nothing to the tree."""


def _merge(target: Map, merges: tuple[Any, ...]) -> None:
    """Apply ``<<`` entries: a mapping, or a list of mappings of which the first wins; own keys win over all."""
    for merged in merges:
        for origin in merged if isinstance(merged, list) else [merged]:
            if not isinstance(origin, dict):
                continue
            for key, value in origin.items():
                if key not in target:
                    target.put(key, value, origin=origin)
