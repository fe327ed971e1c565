"""Passes on what running operations ask of the dispatcher: workflow functions, and who calls the manager.

Listens on a unix socket below the agent's state folder, so that an operation which outlives an agent finds the next
one. Each question is bound to an attempt in hand by its token; the dispatcher checks the token again.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import socket
import threading
from pathlib import Path
from typing import Any, Optional

from outrider.agent.attempts import Attempt, Attempts
from outrider.agent.requests import DispatcherRequests
from outrider.agent.runner.asking import FOLDER
from outrider.agent.runner.protocol import SOCKET_NAME, ProtocolError, listen, receive_frame, send_frame

logger = logging.getLogger(__name__)

_BACKLOG = 64
#: A question is written at once by whoever connects.
_READ_SECONDS = 10.0
_LONGEST_SECONDS = 600.0
#: Between two looks for a connection while there are no descriptors or threads left.
_AGAIN_SECONDS = 0.5


def is_workflow(attempt: Attempt) -> bool:
    """Return whether an attempt runs a plugin's workflow function, which waits for other operations."""
    return bool(attempt.task.context.extras.get("workflow"))


class Questions:
    """The socket for questions; a thread per question, since answers take as long as graphs run."""

    def __init__(self, state_dir: Path, attempts: Attempts, requests: DispatcherRequests) -> None:
        self._folder = state_dir / FOLDER
        self._attempts = attempts
        self._requests = requests
        self._listener: Optional[socket.socket] = None
        self._thread: Optional[threading.Thread] = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Listen; a socket that an earlier agent left is replaced."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / SOCKET_NAME).unlink()
        self._listener = listen(self._folder, backlog=_BACKLOG)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="questions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; who waits for an answer asks the next agent."""
        self._stopping.set()
        if self._listener is None or self._thread is None:
            return
        # Unlike `close` it wakes those who wait: for a connection here, for an answer in the operations.
        with self._lock:
            for each in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._thread.join(_READ_SECONDS)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError as error:
                self._pause(error)
                continue
            try:
                threading.Thread(target=self._serve, args=(connection,), name="question", daemon=True).start()
            except RuntimeError as error:
                # Whoever asks sees that its connection ends, and asks again.
                connection.close()
                self._pause(error)

    def _pause(self, error: Exception) -> None:
        if not self._stopping.is_set():
            logger.warning("questions of operations cannot be taken at the moment: %s", error)
            self._stopping.wait(_AGAIN_SECONDS)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        with connection:
            try:
                connection.settimeout(_READ_SECONDS)
                question = receive_frame(connection)
                if question is not None:
                    send_frame(connection, self._answer(question))
            except (OSError, ValueError, ProtocolError) as error:
                logger.debug("a question was not answered: %s", error)
            finally:
                with self._lock:
                    self._open.discard(connection)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        attempt = self._attempts.get(str(question.get("attempt_id")))
        if attempt is None or not hmac.compare_digest(str(question.get("token")), attempt.task.token):
            return {"error": "the agent has no such attempt in hand"}
        kind = question.get("kind", "workflow")
        limit = min(float(question.get("timeout_seconds") or _READ_SECONDS), _LONGEST_SECONDS)
        if kind == "manager":
            reply = self._requests.manager_access(attempt.task, limit_seconds=limit, stopping=self._stopping)
        elif is_workflow(attempt):
            payload = question.get("payload") or {}
            reply = self._requests.ask_workflow(attempt.task, payload, limit_seconds=limit, stopping=self._stopping)
        else:
            return {"error": "only the workflow functions of plugins may ask the dispatcher"}
        if reply is None:
            return {"error": f"no dispatcher answered for execution {attempt.task.execution_id} within {limit:g} s"}
        return {"payload": dict(reply.payload), "error": None if reply.ok else reply.error or "refused"}
