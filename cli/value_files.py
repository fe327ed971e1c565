"""Reads a file of names and values, as `-i` and `-p` take it in place of ``name=value``.

YAML is read as in blueprints, so that a value means the same here and there; unlike there, text may hold any
character. What ends with ``.json`` is read as JSON, which is not always YAML: ``1e3`` is a number there, text here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Source
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.text import read_tree


class ValuesUnreadable(Exception):
    """A file cannot be read as names and values; the text names the file, and the place of each mistake."""


def read_values(path: Path) -> dict[str, Any]:
    """Return a file's names with their values; raises `ValuesUnreadable`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValuesUnreadable(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValuesUnreadable(f"{path} is not text in UTF-8 (byte {error.start + 1})") from error
    values = _json(path, text) if path.suffix.lower() == ".json" else _yaml(path, text)
    if not isinstance(values, dict):
        raise ValuesUnreadable(f"{path} holds no mapping of names to values, but {_kind(values)}")
    return values


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValuesUnreadable(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise ValuesUnreadable(f"{path}: {error}") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _yaml(path: Path, text: str) -> Any:
    source, problems = Source(str(path), text), Problems()
    tree = read_tree(source, problems)
    wrong = [each for each in problems.errors() if each.kind is not Kind.NOT_ASCII]
    mistakes = [f"{path}:{each.line}:{each.column}: {each.message}" for each in wrong]
    mistakes += [f"{path}:{at.line}:{at.column}: {name} stands here again" for name, at in source.duplicates]
    if mistakes:
        raise ValuesUnreadable("\n".join(mistakes))
    # Without the places that the reader of blueprints notes beside each value.
    return json.loads(json.dumps(tree))


def _kind(value: object) -> str:
    kinds = {type(None): "nothing", list: "a list", str: "text", bool: "true or false"}
    return kinds.get(type(value), "a number")
