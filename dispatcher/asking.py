"""Questions to agents for commands, beside any dispatcher: an agent that is silent, or refuses, is an error.

The engine asks agents too (`control`), and takes the answers in its turns; a command has no engine to wait for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from outrider.dispatcher.errors import AgentRefused, AgentSilent
from outrider.messaging.errors import NobodyThere
from outrider.messaging.messages import ControlKind
from outrider.messaging.questions import Questions, questions
from outrider.messaging.transport import Transport

#: An agent answers within milliseconds, unless its host is very busy.
ANSWER_SECONDS = 10.0


class AgentQuestions:
    """Asks one agent at a time; made by `agent_questions`."""

    def __init__(self, asking: Questions) -> None:
        self._asking = asking

    def ask(
        self,
        agent_id: str,
        kind: ControlKind,
        payload: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Mapping[str, Any]:
        """Return the answer's payload. Raises `AgentSilent`, `AgentRefused`, `MessagingError`."""
        try:
            answered = self._asking.ask(agent_id, kind, payload, timeout_seconds=timeout_seconds)
        except NobodyThere as error:
            raise AgentSilent(str(error)) from error
        if answered is None:
            raise AgentSilent(
                f"agent {agent_id!r} did not answer within {timeout_seconds:g} s: it is not running, is cut off, or "
                "belongs to a release that does not know the question"
            )
        if not answered.ok:
            raise AgentRefused(f"agent {agent_id!r} refuses: {answered.error}")
        return answered.payload


@contextmanager
def agent_questions(transport: Transport) -> Iterator[AgentQuestions]:
    """Yield the one who asks, for the time of the block."""
    with questions(transport, asker="command") as asking:
        yield AgentQuestions(asking)
