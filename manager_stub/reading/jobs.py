"""What a page is made of: values that another process understands as well, and how they become JSON text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from outrider.dispatcher.store.database import Database
from outrider.manager_stub.access import Caller
from outrider.manager_stub.listing import ListCall, encoded
from outrider.manager_stub.resource import Where, fetch_page
from outrider.manager_stub.resources import BY_KIND

#: What rows must fulfil beside the filters. A function of a module: other processes find it by its name.
Condition = Callable[[ListCall], Where]


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
    reading = _Reading(caller=job.caller, database=database)
    return encoded(fetch_page(reading, BY_KIND[job.kind], job.listing, where=job.where(job.listing)))


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """All that `fetch_page` needs of a call."""

    caller: Caller
    database: Database

    def read(self) -> AbstractContextManager[Connection]:
        return self.database.read()
