"""What a page is made of: values that another process understands as well, and how they become JSON text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from outrider.dispatcher.store.database import Database
from outrider.manager_stub.access import Caller
from outrider.manager_stub.listing import ListCall, encoded
from outrider.manager_stub.resource import Statements, Where, read_page, statements_of
from outrider.manager_stub.resources import BY_KIND

#: What rows must fulfil beside the filters. A function of a module: other processes find it by its name.
Condition = Callable[[ListCall], Where]


#: List calls whose statements are remembered, and the longest that are: filters may hold thousands of ids.
KEPT = 256
LONGEST_KEY = 2000


def everything(_listing: ListCall) -> Where:
    """Leave nothing out."""
    return ()


@dataclass(frozen=True, kw_only=True)
class PageJob:
    """One page, for one caller."""

    #: `Resource.kind`.
    kind: str
    caller: Caller
    listing: ListCall
    where: Condition = everything


def make_page(job: PageJob, database: Database) -> bytes:
    """Return the page as JSON text; raises BadRequest for unknown fields."""
    resource, reading = BY_KIND[job.kind], _Reading(caller=job.caller, database=database)
    statements = _KEPT.find(
        _key(job), lambda: statements_of(reading, resource, job.listing, where=job.where(job.listing))
    )
    return encoded(read_page(reading, resource, job.listing, statements=statements))


def _key(job: PageJob) -> tuple[Hashable, ...]:
    """Return all that a list call's statements are made from: the same for each of its pages."""
    listing = job.listing
    flags = tuple((name, value) for name, value in listing.flags.items() if name not in ("_size", "_offset"))
    asked = tuple(listing.filters.items()), listing.sort, listing.search, listing.all_tenants, listing.ranges, flags
    return job.kind, job.where, job.caller, asked


class _Kept:
    """Statements by what they are made from: clients ask for page after page of the same list. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Hashable, ...], Statements] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[Hashable, ...], make: Callable[[], Statements]) -> Statements:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        if len(repr(key)) <= LONGEST_KEY:
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return made


_KEPT = _Kept()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """All that `fetch_page` needs of a call."""

    caller: Caller
    database: Database

    def read(self) -> AbstractContextManager[Connection]:
        return self.database.read()
