"""Namespaces: every name that a file defines, and every reference to such a name, gets the prefix ``ns--``.

Names that begin with ``cloudify.`` belong to all blueprints and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outrider.dispatcher.blueprint.located import Map, Seq

SEPARATOR = "--"


def prefixed(namespace: str, name: Any) -> Any:
    """Return a name under a namespace."""
    if not namespace or not isinstance(name, str) or name.startswith("cloudify."):
        return name
    return f"{namespace}{SEPARATOR}{name}"


def apply_namespace(tree: Map, namespace: str) -> Map:
    """Return a document's tree with its names and references renamed."""
    raise NotImplementedError


Renamer = Callable[[Any], Any]
_ = (Seq,)
