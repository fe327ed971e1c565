"""Loads a settings dataclass from a TOML file, the environment (``OUTRIDER_<NAME>``) and flags, in rising order.

Here, because every process of ours has settings and this is the package that all of them may import. All mistakes are
reported at once, and where each value came from is remembered.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Generic, Optional, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "OUTRIDER_"
DEFAULT = "default"
FLAG = "flag"

SettingsT = TypeVar("SettingsT")


class ConfigurationError(Exception):
    """Settings are not usable; `problems` lists every mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded(Generic[SettingsT]):
    """Settings, and for each name where its value came from: ``default``, ``flag``, ``OUTRIDER_…`` or a file."""

    settings: SettingsT
    origins: Mapping[str, str]


def load(
    kind: type[SettingsT],
    *,
    file: Optional[Path] = None,
    environment: Optional[Mapping[str, str]] = None,
    flags: Optional[Mapping[str, Optional[str]]] = None,
    defaults: Optional[Mapping[str, Any]] = None,
    check: Callable[[Mapping[str, Any]], list[str]] = lambda _values: [],
) -> Loaded[SettingsT]:
    """Return the settings of the dataclass `kind`; flags win over the environment, which wins over the file.

    Settings are the fields of the types `str`, `int`, `float`, `bool`, `Path`, `Optional` ones of these, and
    ``tuple[str, ...]``; other fields are left alone.
    `check` gets the values that were given, and returns what is wrong with them together.
    Raises `ConfigurationError` with all mistakes.
    """
    types = {item.name: str(item.type) for item in fields(kind) if is_setting(str(item.type))}  # type: ignore[arg-type]
    problems: list[str] = []
    given = {name: (value, DEFAULT) for name, value in (defaults or {}).items()}
    given.update(_from_file(file, types, problems))
    for name in types:
        variable = PREFIX + name.upper()
        if (text := (environment or {}).get(variable)) is not None:
            given[name] = (text, variable)
        if (flag := (flags or {}).get(name)) is not None:
            given[name] = (flag, FLAG)
    values: dict[str, Any] = {}
    for name, (value, origin) in given.items():
        try:
            values[name] = converter(types[name])(value)
        except (TypeError, ValueError) as error:
            problems.append(f"{name} = {value!r} (from {origin}): {error}")
    problems.extend(check(values))
    if problems:
        raise ConfigurationError(problems)
    return Loaded(kind(**values), {name: given[name][1] if name in given else DEFAULT for name in types})


def _from_file(file: Optional[Path], types: Mapping[str, str], problems: list[str]) -> dict[str, tuple[Any, str]]:
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"the file {file} cannot be read: {error}")
        return {}
    problems.extend(
        f"{name} (from {file}): there is no such setting; known are {', '.join(sorted(types))}"
        for name in content
        if name not in types
    )
    return {name: (value, str(file)) for name, value in content.items() if name in types}


def converter(annotation: str) -> Callable[[Any], Any]:
    """Return what turns a value from TOML or from a text into the annotated type."""
    return _CONVERTERS[_plain(annotation)]


def is_setting(annotation: str) -> bool:
    """Tell whether a field of this type can be given in a file or as a text."""
    return _plain(annotation) in _CONVERTERS


def _plain(annotation: str) -> str:
    if annotation.startswith("Optional[") and annotation.endswith("]"):
        return annotation[len("Optional[") : -1]
    return annotation.replace(" | None", "")


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError("must be true or false")
    return words[str(value).lower()]


def _to_int(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError("must be a whole number")
    return int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("must be a number")
    return float(value)


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("must be a text")
    return value


def _to_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
        raise TypeError("must be a list of texts")
    return tuple(value)


def _to_path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    return Path(_to_text(value)).expanduser()


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "str": _to_text,
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "Path": _to_path,
    "tuple[str, ...]": _to_texts,
}
