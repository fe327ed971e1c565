"""What a value may look like: small declarations, of which `sections.py` builds the form of a blueprint.

One declaration serves two readers: `check` finds what does not fit, with places, and `schema.py` turns the same
declaration into a JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Optional, Union

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest
from outrider.dispatcher.blueprint.versions import Version, too_old


class _Shape:
    """What every shape answers."""

    def suits(self, value: object) -> bool:
        """Return whether a value is of the shape's general kind; contents of containers are not looked at."""
        raise NotImplementedError

    def fits(self, value: object, version: Version) -> bool:  # noqa: ARG002 - containers need it, for their keys
        """Return whether a value fits whole: the fast answer for what is right, without places and words."""
        return self.suits(value)


@dataclass(frozen=True)
class Anything(_Shape):
    """Any value."""

    def suits(self, value: object) -> bool:  # noqa: ARG002 - any value suits
        return True


@dataclass(frozen=True)
class Text(_Shape):
    """A string; `choices` closes the set. Numbers are let through where the ecosystem's files write versions bare."""

    choices: tuple[str, ...] = ()
    numbers: bool = False

    def suits(self, value: object) -> bool:
        if isinstance(value, str):
            return not self.choices or value in self.choices
        return self.numbers and isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Flag(_Shape):
    """true or false."""

    def suits(self, value: object) -> bool:
        return isinstance(value, bool)


@dataclass(frozen=True)
class Whole(_Shape):
    """A whole number, or any number with `fraction`."""

    least: Optional[int] = None
    fraction: bool = False

    def suits(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return (self.fraction or isinstance(value, int)) and (self.least is None or value >= self.least)


@dataclass(frozen=True)
class Nothing(_Shape):
    """No value."""

    def suits(self, value: object) -> bool:
        return value is None


@dataclass(frozen=True)
class Table(_Shape):
    """A mapping whose keys are names and whose values all have one shape."""

    of: Shape

    def suits(self, value: object) -> bool:
        return isinstance(value, dict)

    def fits(self, value: object, version: Version) -> bool:
        if not isinstance(value, dict):
            return value is None  # an empty mapping may be written as nothing at all
        return isinstance(self.of, Anything) or _all_fit(value.values(), self.of, version)


@dataclass(frozen=True)
class Items(_Shape):
    """A list."""

    of: Shape

    def suits(self, value: object) -> bool:
        return isinstance(value, list)

    def fits(self, value: object, version: Version) -> bool:
        return isinstance(value, list) and _all_fit(value, self.of, version)


@dataclass(frozen=True)
class Field:
    """One key of a record."""

    shape: Shape
    text: str = ""
    required: bool = False
    since: Version = (1, 0)


@dataclass(frozen=True)
class Record(_Shape):
    """A mapping with a fixed set of keys."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    def suits(self, value: object) -> bool:
        return isinstance(value, dict)

    def fits(self, value: object, version: Version) -> bool:
        if not isinstance(value, dict) or not self._required <= value.keys():
            return False
        for key, item in value.items():
            known = self.fields.get(key)
            if known is None or known.since > version:
                return False
            if (item is not None or known.required) and not known.shape.fits(item, version):
                return False
        return True

    @cached_property
    def _required(self) -> frozenset[str]:
        return frozenset(name for name, known in self.fields.items() if known.required)


@dataclass(frozen=True)
class Either(_Shape):
    """One of several shapes, told apart by the kind of the value (text, flag, number, list, mapping)."""

    options: tuple[Shape, ...]

    def suits(self, value: object) -> bool:
        return any(option.suits(value) for option in self.options)

    def fits(self, value: object, version: Version) -> bool:
        for option in self.options:
            if option.suits(value):
                return option.fits(value, version)
        return False


def _all_fit(values: Iterable[object], shape: Shape, version: Version) -> bool:
    # Not `all` of a generator: most containers hold one or two values, and the generator costs more than looking.
    for value in values:  # noqa: SIM110
        if not shape.fits(value, version):
            return False
    return True


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
        return shape.fits(value, self._version) or self._search(value, shape, what, at)

    def _search(self, value: object, shape: Shape, what: str, at: Optional[Mark]) -> bool:
        """Record each place at which `value` does not fit; False if there is one."""
        match shape:
            case Table(of=inner) if isinstance(value, dict):
                results = [
                    self._search(item, inner, f"{what}.{key}", value_mark(value, key)) for key, item in value.items()
                ]
                return all(results)
            case Items(of=inner) if isinstance(value, list):
                results = [
                    self._search(item, inner, f"{what}[{index}]", value_mark(value, index))
                    for index, item in enumerate(value)
                ]
                return all(results)
            case Record() if isinstance(value, dict):
                return self._record(value, shape, what, at)
            case Either(options=options):
                for option in options:
                    if option.suits(value):
                        return self._search(value, option, what, at)
            case _ if shape.fits(value, self._version):
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
                message = too_old(f"{what}.{key}", known.since)
                self._problems.add(Kind.VERSION_TOO_OLD, message, at=key_mark(value, key))
                good = False
            elif item is None and not known.required:
                continue
            else:
                good = self._search(item, known.shape, f"{what}.{key}", value_mark(value, key)) and good
        for key, known in shape.fields.items():
            if known.required and key not in value:
                self._problems.add(Kind.FORMAT, f"{what} lacks the key {key!r}", at=at)
                good = False
        return good


def _any_version(at: Optional[Mark]) -> bool:
    return at is not None and at.source.any_version
