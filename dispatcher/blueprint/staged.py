"""The stages between a blueprint's text and its plan as plain JSON, for people who ask where something comes from.

`outrider blueprint show --stage …` prints them; nothing else reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Optional

from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import Mark, key_mark, value_mark
from outrider.dispatcher.blueprint.model import Model, NodeType, RelationshipType


def text_stage(blueprint: Blueprint) -> list[dict[str, Any]]:
    """Return every file that was read, the main one first: name, namespace, what imported it, text."""
    return [
        {
            "file": each.source.name,
            "namespace": each.namespace,
            "imported_by": list(each.source.chain),
            "text": each.source.text,
        }
        for each in blueprint.documents
    ]


def nodes_stage(blueprint: Blueprint) -> list[dict[str, Any]]:
    """Return every file's tree as a list of its keys and items, each with its place; scalars have values."""
    return [
        {"file": each.source.name, "namespace": each.namespace, "nodes": list(_nodes(each.tree, ""))}
        for each in blueprint.documents
    ]


def model_stage(blueprint: Blueprint) -> dict[str, Any]:
    """Return the typed model: types with all that they inherit, templates completed, operations merged."""
    model = blueprint.model
    return {each.name: _plain(getattr(model, each.name)) for each in fields(Model) if each.name != "sections"}


def _nodes(value: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield the nodes below a container; one that an alias repeats stands where its anchor was written."""
    pairs: list[tuple[str, Any, Optional[Mark]]] = []
    if isinstance(value, dict):
        pairs = [(str(key), item, key_mark(value, key)) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(str(place), item, value_mark(value, place)) for place, item in enumerate(value)]
    for name, item, mark in pairs:
        here = f"{path}/{name}"
        place = {} if mark is None else {"line": mark.line, "column": mark.column}
        container = isinstance(item, (dict, list)) and len(item) > 0
        yield {"path": here, **place, **({} if container else {"value": item})}
        if container:
            yield from _nodes(item, here)


def _plain(value: Any, *, inside: bool = False) -> Any:
    if isinstance(value, Mark):
        return f"{value.source.name}:{value.line}:{value.column}"
    if inside and isinstance(value, (NodeType, RelationshipType)):
        # A template names its type; the type stands in a section of its own.
        return value.name
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name), inside=True) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item, inside=inside) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, inside=inside) for item in value]
    return value
