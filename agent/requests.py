"""Questions of the agent to any dispatcher: asked on an exchange, answered on the agent's own control queue."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any, Callable, Optional

from outrider.agent.errors import SecretsUnavailable
from outrider.messaging import topology
from outrider.messaging.codec import encode
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import MANAGER_ACCESS, ControlKind, ControlReply, ControlRequest, OperationTask
from outrider.messaging.transport import Outgoing, Transport

_ASK_AGAIN_SECONDS = 5.0
_LIMIT_SECONDS = 60.0
_NOT_HERE_SECONDS = 0.25


class DispatcherRequests:
    """Asks dispatchers; `answered` is called with what arrives on the control queue."""

    def __init__(self, agent_id: str, transport: Transport, *, limit_seconds: float = _LIMIT_SECONDS) -> None:
        self._agent_id = agent_id
        self._transport = transport
        self._limit = limit_seconds
        self._lock = threading.Lock()
        self._open: dict[str, Future[ControlReply]] = {}

    def answered(self, reply: ControlReply) -> None:
        """Hand over a reply; one that nobody waits for any more is dropped."""
        with self._lock:
            future = self._open.pop(reply.request_id, None)
        if future is not None:
            future.set_result(reply)

    def redeem_secrets(self, task: OperationTask) -> dict[str, Any]:
        """Return the task's secrets by name. Raises `SecretsUnavailable`."""
        deadline = time.monotonic() + self._limit
        while True:
            reply = self._ask(ControlKind.REDEEM_SECRETS, task, {"names": list(task.secrets)}, "secrets")
            if reply is not None:
                break
            if time.monotonic() >= deadline:
                names = ", ".join(task.secrets)
                raise SecretsUnavailable(f"no dispatcher handed out the secrets {names} within {self._limit:g} s")
        if not reply.ok:
            raise SecretsUnavailable(f"the dispatcher refused the secrets: {reply.error}")
        found = reply.payload.get("secrets")
        if not isinstance(found, dict):
            raise SecretsUnavailable("the dispatcher's answer holds no secrets")
        return found

    def ask_workflow(
        self, task: OperationTask, payload: dict[str, Any], *, limit_seconds: float, stopping: threading.Event
    ) -> Optional[ControlReply]:
        """Ask the dispatcher that runs the execution; None if none answered within the limit, or on `stopping`."""
        ask = partial(self._ask, ControlKind.WORKFLOW, task, payload, "workflow")
        return self._ask_around(ask, limit_seconds=limit_seconds, stopping=stopping)

    def manager_access(
        self, task: OperationTask, *, limit_seconds: float, stopping: threading.Event
    ) -> Optional[ControlReply]:
        """Ask for the way to the manager; None if no manager's dispatcher answered within the limit."""
        ask = partial(self._ask, ControlKind.REDEEM_SECRETS, task, {"names": [MANAGER_ACCESS]}, "secrets")
        return self._ask_around(ask, limit_seconds=limit_seconds, stopping=stopping)

    def _ask_around(
        self, ask: Callable[[], Optional[ControlReply]], *, limit_seconds: float, stopping: threading.Event
    ) -> Optional[ControlReply]:
        deadline = time.monotonic() + limit_seconds
        while not stopping.is_set():
            reply = ask()
            if reply is not None and not reply.payload.get("again"):
                return reply
            if time.monotonic() >= deadline:
                return None
            if reply is not None:
                # Not this dispatcher's to answer, or not yet: the next question goes to another one.
                stopping.wait(_NOT_HERE_SECONDS)
        return None

    def _ask(self, kind: ControlKind, task: OperationTask, payload: dict[str, Any], key: str) -> Optional[ControlReply]:
        request = ControlRequest(
            request_id=uuid.uuid4().hex,
            kind=kind,
            agent_id=self._agent_id,
            reply_to=self._agent_id,
            attempt_id=task.attempt_id,
            token=task.token,
            payload=payload,
        )
        future: Future[ControlReply] = Future()
        with self._lock:
            self._open[request.request_id] = future
        try:
            self._transport.publish(
                Outgoing(
                    topology.REQUESTS,
                    f"{self._agent_id}.{key}",
                    encode(request),
                    persistent=False,
                    expires_seconds=_ASK_AGAIN_SECONDS,
                )
            )
            return future.result(min(_ASK_AGAIN_SECONDS, self._limit))
        except (FutureTimeout, MessagingError):
            return None
        finally:
            with self._lock:
                self._open.pop(request.request_id, None)
