"""The program of a page process: reads the store, and answers one job after the other until its manager closes.

``python -m outrider.manager_stub.reading.process``, started by `pool` with a socket as standard input: first comes the
database's address, which may hold a password, then come jobs. It keeps nothing, and may end at any time.
"""

from __future__ import annotations

import logging
import pickle
import signal
import socket
import sys
from contextlib import suppress

from outrider.dispatcher.errors import StoreError
from outrider.dispatcher.garbage import collect_rarely
from outrider.dispatcher.store.database import Database
from outrider.manager_stub.errors import ApiError
from outrider.manager_stub.reading.frames import framed, received
from outrider.manager_stub.reading.jobs import make_page

log = logging.getLogger(__name__)

READY = b"ready"
#: For a page that was not made: the manager makes it itself, and so has the error.
NOT_MADE = b""


def main() -> int:
    """Serve until the socket closes; returns the exit code."""
    # Ctrl-C in a terminal is meant for the manager, which closes the socket when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=sys.stdin.fileno()) as connection, suppress(ConnectionError):
        jobs = received(connection)
        url = next(jobs, None)
        if url is None:
            return 0
        database = Database(url.decode())
        collect_rarely()
        connection.sendall(framed(READY))
        for job in jobs:
            connection.sendall(framed(_answer(job, database)))
        database.close()
    return 0


def _answer(job: bytes, database: Database) -> bytes:
    try:
        return make_page(pickle.loads(job), database)  # noqa: S301 - from the process that started this one
    except (ApiError, StoreError):
        return NOT_MADE
    except Exception:
        # A defect: it must cost its own page only. The manager meets it as well, and answers with it.
        log.exception("a page could not be made", extra={"action": "page_failed"})
        return NOT_MADE


if __name__ == "__main__":
    raise SystemExit(main())
