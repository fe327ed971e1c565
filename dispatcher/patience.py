"""Connections to our HTTP servers that ask nothing: closed after a time; the files' endpoint and the manager use it.

uvicorn waits for a first request without end. So whoever reaches the port could hold as many connections as there may
be, without a token; and those of hosts that died before they asked would add up until then.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: From the connection, or from the first byte of a further request, to the last of the request's headers.
REQUEST_SECONDS = 10.0


def impatient_protocol(request_seconds: float = REQUEST_SECONDS) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol (for ``Config(http=…)``), which then waits for a request no longer than this."""

    class ImpatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # one of two, by what is installed
        """One connection."""

        _limit: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Let the time run while a request is awaited; what the application does with one takes what it takes."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._forget()
            elif self._limit is None:
                self._limit = self.loop.call_later(request_seconds, self.transport.close)

        def _forget(self) -> None:
            if self._limit is not None:
                self._limit.cancel()
                self._limit = None

    return ImpatientProtocol
