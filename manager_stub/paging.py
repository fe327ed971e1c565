"""Answers list calls, a few at a time: pages are the manager's most frequent work, and all of it is computing.

Each page takes milliseconds of the interpreter, which runs one thread at a time: forty threads that make pages would
only take turns, and everything else, the event loop first, would wait for its turn among them.
"""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from fastapi import Response

from outrider.manager_stub.calls import Call
from outrider.manager_stub.listing import ListCall, written
from outrider.manager_stub.resource import Resource, Where, fetch_page

#: Enough to compute one page while others wait for the database.
_TURNS = CapacityLimiter(4)


async def answer_page(call: Call, resource: Resource, listing: ListCall, *, where: Where = ()) -> Response:
    """Return one page of a resource; raises BadRequest for unknown fields."""

    return await in_turn(lambda: written(fetch_page(call, resource, listing, where=where)))


async def in_turn(make: Callable[[], Response]) -> Response:
    """Make an answer in a thread, when it is its turn."""
    return await to_thread.run_sync(make, limiter=_TURNS)
