"""Answers requests for a path that is served, though not with their method: 405, and `Allow` names those that are.

It comes behind all routes and before what answers for any path at all: that would say that nothing is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send


class OtherMethods(BaseRoute):
    """All paths of the routers, for whatever none of their routes took."""

    def __init__(self, served: Iterable[tuple[str, APIRouter]]) -> None:
        """`served` are the routers with their prefixes."""
        methods: dict[str, set[str]] = {}
        for prefix, router in served:
            for route in router.routes:
                if isinstance(route, APIRoute):
                    methods.setdefault(prefix + route.path, set()).update(route.methods or ())
        self._methods = [(_pattern(path), found) for path, found in methods.items()]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Claim a request for a known path."""
        known = scope["type"] == "http" and self._allowed(scope["path"])
        return (Match.FULL if known else Match.NONE), {}

    async def handle(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Refuse it; errors are answered where those of all routes are."""
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._allowed(scope["path"])))})

    def _allowed(self, path: str) -> set[str]:
        # A path may fit several patterns: a name in one is a parameter in another.
        return set().union(*(methods for pattern, methods in self._methods if pattern.match(path)))


def _pattern(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]
