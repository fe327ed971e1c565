"""Draws a blueprint's topology: `mermaid` and `svg`, without external tools. Called by `outrider blueprint graph`."""

from __future__ import annotations

from outrider.dispatcher.blueprint.graph.mermaid import mermaid
from outrider.dispatcher.blueprint.graph.svg import svg

__all__ = ["mermaid", "svg"]
