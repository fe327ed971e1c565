"""What a list call asks for: page, order, filters, `_include`. Read from the query in one place, for every resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response

from outrider.manager_stub.errors import BadRequest

PAGE = 1000
#: No page is larger; `_get_all_results` is for clients that know that they can take it.
LARGEST_PAGE = 10_000
_LARGEST_OFFSET = 2**53


@dataclass(frozen=True, kw_only=True)
class ListCall:
    """A list call, as asked for."""

    size: int = PAGE
    offset: int = 0
    #: Field names, with a leading ``-`` for descending.
    sort: tuple[str, ...] = ()
    #: Field → any of these values.
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    search: str | None = None
    all_tenants: bool = False
    all_results: bool = False
    #: ``_range`` values: ``field,from,to``.
    ranges: tuple[str, ...] = ()
    #: Every other parameter that begins with an underscore, for the routes that know it.
    flags: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str) -> bool:
        """Tell whether a parameter is set; clients write ``True`` as well as ``true``."""
        return truth(self.flags.get(name))


def truth(text: str | None) -> bool:
    """Return what a query's boolean means."""
    return (text or "").lower() in ("true", "1", "yes")


async def read_listing(request: Request) -> ListCall:
    """Read the query of a list call; raises BadRequest. Asynchronous to save the way to a thread and back."""
    values: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        values.setdefault(key, []).append(_clean(key, value))
    flags = {key: each[-1] for key, each in values.items() if key.startswith("_")}
    return ListCall(
        size=_number(flags, "_size", PAGE, least=1, most=LARGEST_PAGE),
        offset=_number(flags, "_offset", 0, least=0, most=_LARGEST_OFFSET),
        sort=tuple(values.get("_sort", ())),
        filters={key: tuple(each) for key, each in values.items() if not key.startswith("_")},
        include=tuple(name for each in values.get("_include", ()) for name in each.split(",") if name),
        search=flags.get("_search") or flags.get("_search_name"),
        all_tenants=truth(flags.get("_all_tenants")),
        all_results=truth(flags.get("_get_all_results")),
        ranges=tuple(values.get("_range", ())),
        flags=flags,
    )


Listing = Annotated[ListCall, Depends(read_listing)]


def page_of(items: list[Any], total: int, call: ListCall) -> dict[str, Any]:
    """Return the envelope of a list; `size` is the limit in force, not the number returned."""
    size = max(call.size, total) if call.all_results else call.size
    return {
        "items": items,
        "metadata": {"pagination": {"total": total, "size": size, "offset": call.offset}, "filtered": None},
    }


def written(page: dict[str, Any]) -> Response:
    """Return a page as an answer."""
    return Response(encoded(page), media_type="application/json")


def encoded(page: dict[str, Any]) -> bytes:
    """Return a page as JSON text: the framework's own encoder would take longer than the store does."""
    try:
        return orjson.dumps(page)
    except orjson.JSONEncodeError:
        # Numbers beyond 64 bits, which properties may hold.
        return json.dumps(page).encode()


def whole_list(items: list[Any]) -> dict[str, Any]:
    """Return the envelope of a list that is never paged."""
    return page_of(items, len(items), ListCall())


def slice_of(items: list[Any], call: ListCall) -> dict[str, Any]:
    """Return one page of a list that is short enough to be made whole."""
    chosen = items if call.all_results else items[call.offset : call.offset + call.size]
    return page_of([only(each, call.include) for each in chosen], len(items), call)


def only(item: dict[str, Any], include: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that were asked for; raises BadRequest for one that does not exist."""
    if not include:
        return item
    unknown = [name for name in include if name not in item]
    if unknown:
        raise BadRequest(
            f"there is no field {', '.join(unknown)}; known are: {', '.join(sorted(item))}",
            code="no_such_include_field_error",
        )
    return {name: item[name] for name in include}


def _number(flags: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    text = flags.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        raise BadRequest(f"{name} is {text[:40]!r}: it must be a number from {least} to {most}")
    return int(text)


def _clean(key: str, value: str) -> str:
    if "\0" in key or "\0" in value:
        raise BadRequest(f"parameter {key[:40]!r} holds a NUL character")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadRequest(f"parameter {key[:40]!r} is not valid text") from error
    return value
