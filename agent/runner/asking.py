"""Questions of a running operation to the dispatcher, through the agent's socket (`agent.questions` listens there).

A connection per question: the agent may be restarted or upgraded while the operation lives, and the next question
finds the new one. Used by the channel of an operation's process; standard library only.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Optional

from outrider.agent.runner.protocol import ProtocolError, connect, receive_frame, send_frame
from outrider.plugins.sdk.errors import RequestFailed

#: Name of the folder of the agent's state that holds the socket.
FOLDER = "questions"

_CONNECT_SECONDS = 5.0
_BETWEEN_SECONDS = 0.5
#: An agent that is restarted is back within this time; one that answers needs its dispatcher's time, and some more.
_ANSWER_SLACK_SECONDS = 10.0


def ask(folder: Path, question: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    """Return the answer; raises `RequestFailed` after the timeout, or if it is refused."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        reply, failure = _try(folder, {**question, "timeout_seconds": max(deadline - time.monotonic(), 1.0)})
        if reply is not None:
            break
        if time.monotonic() + _BETWEEN_SECONDS > deadline:
            raise RequestFailed(f"the agent did not answer within {timeout_seconds:g} s: {failure}")
        time.sleep(_BETWEEN_SECONDS)
    if reply.get("error") is not None:
        raise RequestFailed(str(reply["error"]))
    payload: dict[str, Any] = reply.get("payload") or {}
    return payload


def _try(folder: Path, question: dict[str, Any]) -> tuple[Optional[dict[str, Any]], str]:
    try:
        connection = connect(folder, timeout_seconds=_CONNECT_SECONDS)
    except OSError as error:
        return None, f"its socket in {folder} cannot be reached: {error}"
    with connection:
        try:
            connection.settimeout(question["timeout_seconds"] + _ANSWER_SLACK_SECONDS)
            send_frame(connection, question)
            reply = receive_frame(connection)
        except (OSError, ProtocolError) as error:
            return None, f"its socket in {folder}: {error}"
    return reply, "it ended before it had answered"
