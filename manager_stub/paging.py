"""Answers list calls: pages are the manager's most frequent work, and all of it is computing.

Where many ask at once, pages are made in processes of their own (see `reading`). Otherwise they are made here, a few at
a time: an interpreter runs one thread at a time, and forty threads that make pages would only take turns, while
everything else, the event loop first, would wait for its turn among them.
"""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from fastapi import Response

from outrider.manager_stub.calls import Call
from outrider.manager_stub.listing import PAGE, ListCall
from outrider.manager_stub.reading import PageJob, everything, make_page
from outrider.manager_stub.reading.jobs import Condition
from outrider.manager_stub.resource import Resource

#: Enough to compute one page while others wait for the database.
_TURNS = CapacityLimiter(4)


async def answer_page(call: Call, resource: Resource, listing: ListCall, *, where: Condition = everything) -> Response:
    """Return one page of a resource; raises BadRequest for unknown fields."""
    job = PageJob(kind=resource.kind, caller=call.caller, listing=listing, where=where)
    processes = call.manager.page_processes
    with processes.counted():
        # Pages that take seconds stay here: short ones would wait behind them.
        short = listing.size <= PAGE and not listing.all_results
        made = await processes.make(job) if short else None
        if made is not None:
            return Response(made, media_type="application/json")
        return await in_turn(lambda: Response(make_page(job, call.manager.database), media_type="application/json"))


async def in_turn(make: Callable[[], Response]) -> Response:
    """Make an answer in a thread, when it is its turn."""
    return await to_thread.run_sync(make, limiter=_TURNS)
