"""Takes list calls straight to their endpoints: one look-up by path, the caller, the query, and nothing else.

The framework tries a hundred patterns and walks through the dependencies of whatever it finds, which costs as much as
reading a page from the store. The endpoints are the routers' own: documentation and rights are read from them there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from outrider.manager_stub.calls import Requires
from outrider.manager_stub.listing import read_listing


class StraightRoutes(BaseRoute):
    """All routes that are asked with ``GET``, have no parameter in their path, and take a call and a listing."""

    def __init__(self, served: Iterable[tuple[str, APIRouter]]) -> None:
        """`served` are the routers with their prefixes."""
        self._routes: dict[str, tuple[APIRoute, Requires]] = {}
        for prefix, router in served:
            for route in router.routes:
                if isinstance(route, APIRoute) and (requires := _list_call(route)) is not None:
                    self._routes[prefix + route.path] = route, requires

    @property
    def paths(self) -> frozenset[str]:
        """The paths that are answered here."""
        return frozenset(self._routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Claim a request; all others are left to the routes that come after."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        found = self._routes.get(scope["path"])
        return (Match.NONE, {}) if found is None else (Match.FULL, {"route": found[0], "path_params": {}})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; errors are answered where those of all routes are."""
        route, requires = self._routes[scope["path"]]
        request = Request(scope, receive, send)
        call = await requires(request)
        response = await route.endpoint(call=call, listing=await read_listing(request))
        await response(scope, receive, send)


def _list_call(route: APIRoute) -> Requires | None:
    """Return what a list call's endpoint asks of its caller; None for any other route."""
    if route.methods != {"GET"} or "{" in route.path:
        return None
    if not inspect.iscoroutinefunction(route.endpoint):
        return None
    hints = get_type_hints(route.endpoint, include_extras=True)
    hints.pop("return", None)
    wanted = {name: _dependency(hint) for name, hint in hints.items()}
    requires = wanted.get("call")
    if set(wanted) != {"call", "listing"} or wanted["listing"] is not read_listing:
        return None
    return requires if isinstance(requires, Requires) else None


def _dependency(hint: Any) -> Any:
    """Return what the framework would call for an annotated parameter."""
    if get_origin(hint) is not Annotated:
        return None
    return next((each.dependency for each in get_args(hint) if isinstance(each, Depends)), None)
