"""What a value may look like: small declarations, of which `sections.py` builds the form of a blueprint.

One declaration serves two readers: `check` finds what does not fit, with places, and `schema.py` turns the same
declaration into a JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest

Version = tuple[int, int]


@dataclass(frozen=True)
class Anything:
    """Any value."""


@dataclass(frozen=True)
class Text:
    """A string; `choices` closes the set. Numbers are let through where the ecosystem's files write versions bare."""

    choices: tuple[str, ...] = ()
    numbers: bool = False


@dataclass(frozen=True)
class Flag:
    """true or false."""


@dataclass(frozen=True)
class Whole:
    """A whole number, or any number with `fraction`."""

    least: Optional[int] = None
    fraction: bool = False


@dataclass(frozen=True)
class Nothing:
    """No value."""


@dataclass(frozen=True)
class Table:
    """A mapping whose keys are names and whose values all have one shape."""

    of: Shape


@dataclass(frozen=True)
class Items:
    """A list."""

    of: Shape


@dataclass(frozen=True)
class Field:
    """One key of a record."""

    shape: Shape
    text: str = ""
    required: bool = False
    since: Version = (1, 0)


@dataclass(frozen=True)
class Record:
    """A mapping with a fixed set of keys."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Either:
    """One of several shapes, told apart by the kind of the value (text, flag, number, list, mapping)."""

    options: tuple[Shape, ...]


Shape = Union[Anything, Text, Flag, Whole, Nothing, Table, Items, Record, Either]


def describe(shape: Shape) -> str:  # noqa: PLR0911 - one line per shape
    """Return a shape in words, for messages."""
    match shape:
        case Text(choices=choices) if choices:
            return "one of " + ", ".join(choices)
        case Text():
            return "text"
        case Flag():
            return "true or false"
        case Whole(least=least, fraction=fraction):
            kind = "a number" if fraction else "a whole number"
            return kind if least is None else f"{kind} from {least} on"
        case Nothing():
            return "nothing"
        case Table() | Record():
            return "a mapping"
        case Items():
            return "a list"
        case Either(options=options):
            return " or ".join(describe(option) for option in options)
        case _:
            return "any value"


def describe_value(value: object) -> str:
    """Return what a value is, in words, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 60 else value[:57] + '...'!r}"
    return f"{str(value).lower() if isinstance(value, bool) else value}"


class Checker:
    """Compares values with shapes; findings go to `problems`."""

    def __init__(self, problems: Problems, version: Version = (1, 5)) -> None:
        self._problems = problems
        self._version = version

    def check(self, value: object, shape: Shape, *, what: str, at: Optional[Mark]) -> bool:
        """Return whether `value` fits; `what` names it in messages (``node_templates.vm.type``)."""
        match shape:
            case Anything():
                return True
            case Table() if value is None:
                return True  # an empty mapping may be written as nothing at all
            case Table(of=inner) if isinstance(value, dict):
                results = [
                    self.check(item, inner, what=f"{what}.{key}", at=value_mark(value, key))
                    for key, item in value.items()
                ]
                return all(results)
            case Items(of=inner) if isinstance(value, list):
                results = [
                    self.check(item, inner, what=f"{what}[{index}]", at=value_mark(value, index))
                    for index, item in enumerate(value)
                ]
                return all(results)
            case Record() if isinstance(value, dict):
                return self._record(value, shape, what, at)
            case Either(options=options):
                for option in options:
                    if _suits(value, option):
                        return self.check(value, option, what=what, at=at)
            case _ if _suits(value, shape):
                return True
        self._problems.add(Kind.FORMAT, f"{what} must be {describe(shape)}, not {describe_value(value)}", at=at)
        return False

    def _record(self, value: dict[str, Any], shape: Record, what: str, at: Optional[Mark]) -> bool:
        good = True
        for key, item in value.items():
            known = shape.fields.get(key)
            if known is None:
                message = f"{what} has no key {key!r}; its keys are {', '.join(shape.fields)}"
                meant = nearest(key, shape.fields)
                self._problems.add(Kind.FORMAT, message, at=key_mark(value, key), suggestion=meant)
                good = False
            elif known.since > self._version and not _any_version(key_mark(value, key)):
                since = ".".join(map(str, known.since))
                message = f"{what}.{key} is available from version {since} on: state tosca_definitions_version: "
                message += f"cloudify_dsl_{since.replace('.', '_')}"
                self._problems.add(Kind.VERSION_TOO_OLD, message, at=key_mark(value, key))
                good = False
            elif item is None and not known.required:
                continue
            else:
                good = self.check(item, known.shape, what=f"{what}.{key}", at=value_mark(value, key)) and good
        for key, known in shape.fields.items():
            if known.required and key not in value:
                self._problems.add(Kind.FORMAT, f"{what} lacks the key {key!r}", at=at)
                good = False
        return good


def _any_version(at: Optional[Mark]) -> bool:
    return at is not None and at.source.any_version


def _suits(value: object, shape: Shape) -> bool:  # noqa: PLR0911 - one line per shape
    """Return whether a value is of a shape's general kind; contents of containers are not looked at."""
    match shape:
        case Anything():
            return True
        case Text(choices=choices, numbers=numbers):
            if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
                return True
            return isinstance(value, str) and (not choices or value in choices)
        case Flag():
            return isinstance(value, bool)
        case Whole(least=least, fraction=fraction):
            allowed = (int, float) if fraction else int
            good = isinstance(value, allowed) and not isinstance(value, bool)
            return good and (least is None or value >= least)  # type: ignore[operator]
        case Nothing():
            return value is None
        case Table() | Record():
            return isinstance(value, dict)
        case Items():
            return isinstance(value, list)
        case Either(options=options):
            return any(_suits(value, option) for option in options)
