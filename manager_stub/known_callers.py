"""Remembers for a second who sent which credentials: clients that follow an execution ask several times a second.

The process that changes users, tenants or tokens forgets everybody at once; other managers on the same database notice
within the second. `authentication` asks and tells; `observing` says when to forget.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from outrider.manager_stub.access import Caller

REMEMBER_SECONDS = 1.0
REMEMBERED = 1000
_CREDENTIALS = ("execution-token", "authentication-token", "authorization", "tenant")


@dataclass(frozen=True)
class Ticket:
    """What `KnownCallers.add` needs: whose credentials, and since when they are being looked at."""

    mark: bytes
    generation: int


class KnownCallers:
    """Credentials, as keyed hashes → caller. Thread-safe."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._found: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._generation = 0
        self._lock = threading.Lock()

    def find(self, headers: Mapping[str, str], *, tenant: str | None) -> Caller | Ticket:
        """Return who sends these headers, or the ticket to say so once it is found out."""
        text = "\0".join((tenant or "", *(headers.get(name, "") for name in _CREDENTIALS)))
        mark = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()
        with self._lock:
            until, caller = self._found.get(mark, (0.0, None))
            return caller if caller is not None and until > time.monotonic() else Ticket(mark, self._generation)

    def add(self, ticket: Ticket, caller: Caller) -> None:
        """Remember a caller, unless something changed while it was looked up."""
        with self._lock:
            if ticket.generation != self._generation:
                return
            self._found[ticket.mark] = time.monotonic() + REMEMBER_SECONDS, caller
            self._found.move_to_end(ticket.mark)
            while len(self._found) > REMEMBERED:
                self._found.popitem(last=False)

    def forget(self) -> None:
        """Look everybody up anew: accounts may have changed."""
        with self._lock:
            self._generation += 1
            self._found.clear()
