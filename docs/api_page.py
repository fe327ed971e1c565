"""Writes the reference page of the REST API from the routes; `docs.reference_pages` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from outrider.manager_stub.access import ForOperations
from outrider.manager_stub.app import API
from outrider.manager_stub.calls import Requires
from outrider.manager_stub.routes import ROUTERS, beyond, file_server, health, system

INTRODUCTION = """\
# The REST API

The manager speaks version 3.1 of the ecosystem's API below `/api/v3.1`, and more below `/outrider/v1`. The manager
serves this list as an OpenAPI document, with parameters and bodies, at `/openapi.json`.

**Credentials**: Basic authentication, a person's token in `Authentication-Token` (or `Authorization: Bearer`), or an
execution's token in `Execution-Token`. **Tenant**: the header `Tenant`, by default `default_tenant`.

**Rights** include those before them: *read* (role viewer), *write* (user, operations), *tenant* (admin, manager),
*system* (the user's role `sys_admin`). Routes marked ◦ are also open to an execution's token, for that execution's
own deployment; those marked • only to a token of what runs on the central agent, which may do there what the user may
who started the execution.

**Lists** are `{"items": […], "metadata": {"pagination": {"total", "size", "offset"}}}`; they take `_size` (1,000 by
default, 10,000 at most), `_offset`, `_sort` (a field, `-` before it for downwards), `_include`, `_search`,
`_all_tenants`, and fields as filters; a repeated one means any of its values.

**Errors** are `{"message", "error_code", "server_traceback"}` with a status from 400 on; 404 is something that is not
there, 405 (`method_not_allowed_error`) a path that takes other methods, which the header `Allow` names; 500 is a defect
of the manager, whose log has the details.
"""

_MARKS = {ForOperations.CLOSED: "", ForOperations.FOR_STARTER: " •", ForOperations.OPEN: " ◦"}


def api_page(notice: str) -> str:
    """Return the page."""
    lines = [notice, INTRODUCTION]
    for tag, entries in groupby(routes(), key=lambda entry: entry[0]):
        lines += [f"## {tag.capitalize()}", "", "| | | right |", "| --- | --- | --- |"]
        lines += [f"| `{method} {path}` | {summary} | {right} |" for _, method, path, summary, right in entries]
        lines.append("")
    return "\n".join(lines)


def routes() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield tag, method, path, summary and right of each documented route."""
    routers = [(API, each) for each in ROUTERS]
    routers += [("", each) for each in (system.unversioned, beyond.routes, health.routes, file_server.routes)]
    for prefix, router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not route.include_in_schema:
                continue
            summary = (route.endpoint.__doc__ or "").strip().partition("\n")[0].replace("|", "\\|")
            tag = str(route.tags[0]) if route.tags else "others"
            for method in sorted(route.methods or ()):
                yield tag, method, prefix + route.path, summary, right(route.dependant)


def right(dependant: Dependant) -> str:
    """Return what a route asks for."""
    if isinstance(dependant.call, Requires):
        return dependant.call.right.name.lower() + _MARKS[dependant.call.operations]
    return next((found for each in dependant.dependencies if (found := right(each)) != "–"), "–")
