"""From evidence to the result that is reported: pure functions over what an attempt left behind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Optional

from outrider.agent.attempts import Attempt
from outrider.agent.errors import PreparationFailed, Refused
from outrider.agent.runner.tree import PROOF_NONE
from outrider.agent.updates import property_change
from outrider.messaging.codec import decode, encode
from outrider.messaging.messages import Durations, OperationError, OperationResult, Proof, Usage, Verdict

_TAIL_BYTES = 8 * 1024
#: What an operation says of itself; it stands also if a cancel or a timeout came at the same moment.
_OWN_WORD = (Verdict.SUCCEEDED, Verdict.RESCHEDULED)


def shortened(body: bytes) -> bytes:
    """Return the message of the failure that takes the place of a result whose message the broker finds too large."""
    result = decode(body)
    if not isinstance(result, OperationResult):
        raise TypeError(f"{type(result).__name__} is no result")
    return encode(_too_large(result, body, "the broker takes no message of that size (its setting max_message_size)"))


class Reporter:
    """Makes the results of one agent's attempts."""

    def __init__(self, agent_id: str, *, limit_bytes: int) -> None:
        self._agent_id = agent_id
        self._limit = limit_bytes

    def ended(self, attempt: Attempt, outcome: dict[str, Any], *, epoch: str) -> OperationResult:
        """Return the result of an operation whose process, or the runner for it, wrote `outcome`."""
        verdict = Verdict(outcome["verdict"])
        proof = Proof(outcome.get("proof", PROOF_NONE))
        error = _error(outcome.get("error"))
        if attempt.cancelled and verdict not in _OWN_WORD:
            return self.cancelled(attempt, epoch=epoch)
        properties, last = outcome.get("properties"), outcome.get("last_sequence")
        if properties is None or last is None:
            properties, last = attempt.folder.properties()
        usage = outcome.get("usage") or {}
        return self._result(
            attempt,
            verdict,
            epoch=epoch,
            value=outcome.get("value"),
            error=error,
            usage=Usage(usage.get("cpu_seconds"), usage.get("peak_memory_bytes")),
            last_sequence=last,
            properties=tuple(property_change(change) for change in properties),
            proof=proof,
            **self._tails(attempt),
        )

    def cancelled(self, attempt: Attempt, *, epoch: str) -> OperationResult:
        """Return the result of an attempt that was cancelled, before or after its start."""
        proof = Proof(attempt.stop_proof or PROOF_NONE)
        if proof is Proof.NEVER_STARTED:
            return self._result(attempt, Verdict.CANCELLED, epoch=epoch, proof=proof)
        verdict = Verdict.NOT_CONFIRMED if proof is Proof.NONE else Verdict.CANCELLED
        text = "it could not be proven that all of its processes have ended; look for them on the host"
        error = None if verdict is Verdict.CANCELLED else OperationError("StopNotConfirmed", text, recoverable=False)
        return self._lost(attempt, verdict, error, proof, epoch=epoch)

    def timed_out(self, attempt: Attempt, proof: str, *, epoch: str) -> OperationResult:
        """Return the result of an operation that the agent, in place of a runner that is gone, stopped in time."""
        verdict = Verdict.NOT_CONFIRMED if proof == PROOF_NONE else Verdict.TIMED_OUT
        text = f"the operation did not end within {attempt.task.timeout_seconds:g} s and was stopped"
        error = OperationError("OperationTimedOut", text, recoverable=False)
        return self._lost(attempt, verdict, error, Proof(proof), epoch=epoch)

    def lost(self, attempt: Attempt, verdict: Verdict, text: str, proof: Proof, *, epoch: str) -> OperationResult:
        """Return the result of an operation of which no result is left."""
        return self._lost(attempt, verdict, OperationError("ResultLost", text, recoverable=False), proof, epoch=epoch)

    def not_run(self, attempt: Attempt, failure: PreparationFailed, *, epoch: str) -> OperationResult:
        """Return the result of an attempt that was not started here."""
        return self._result(
            attempt,
            # Whatever kept it from starting: a task that is only to be resumed leaves open what the one before it did.
            Verdict.NEVER_STARTED if isinstance(failure, Refused) or attempt.task.only_if_resumable else Verdict.FAILED,
            epoch=epoch,
            error=OperationError(failure.kind, str(failure), recoverable=failure.recoverable),
            proof=Proof.NEVER_STARTED,
        )

    def encode(self, result: OperationResult) -> tuple[OperationResult, bytes]:
        """Return the result and its message; one that is too large for the broker becomes a failure that says so."""
        body = encode(result)
        if len(body) <= self._limit:
            return result, body
        small = _too_large(result, body, f"the agent's setting result_limit_mib allows {self._limit}")
        return small, encode(small)

    def _lost(
        self, attempt: Attempt, verdict: Verdict, error: Optional[OperationError], proof: Proof, *, epoch: str
    ) -> OperationResult:
        properties, last = attempt.folder.properties()
        return self._result(
            attempt,
            verdict,
            epoch=epoch,
            error=error,
            last_sequence=last,
            properties=tuple(property_change(change) for change in properties),
            proof=proof,
            **self._tails(attempt),
        )

    def _tails(self, attempt: Attempt) -> dict[str, str]:
        return {f"{name}_tail": attempt.folder.tail(name, limit_bytes=_TAIL_BYTES) for name in ("stdout", "stderr")}

    def _result(self, attempt: Attempt, verdict: Verdict, *, epoch: str, **details: Any) -> OperationResult:
        task = attempt.task
        return OperationResult(
            attempt_id=task.attempt_id,
            task_id=task.task_id,
            execution_id=task.execution_id,
            agent_id=self._agent_id,
            token=task.token,
            verdict=verdict,
            durations=Durations(**attempt.durations),
            journal_epoch=epoch,
            **details,
        )


def _error(described: Optional[dict[str, Any]]) -> Optional[OperationError]:
    if not described:
        return None
    return OperationError(
        type=described["type"],
        message=described["message"],
        traceback=described.get("traceback") or "",
        causes=tuple(described.get("causes") or ()),
        recoverable=bool(described.get("recoverable", True)),
        retry_after_seconds=described.get("retry_after_seconds"),
        exit_code=described.get("exit_code"),
    )


def _too_large(result: OperationResult, body: bytes, why: str) -> OperationResult:
    sizes = {
        "return value": len(json.dumps(result.value)),
        "property changes": sum(len(json.dumps(change.set)) for change in result.properties),
    }
    listed = ", ".join(f"{name} {size} bytes" for name, size in sizes.items())
    text = (
        f"the result is too large to be sent: {len(body)} bytes ({listed}); {why}; the operation itself ended with "
        f"{result.verdict.value}"
    )
    error = OperationError("ResultTooLarge", text, recoverable=False)
    return replace(
        result, verdict=Verdict.FAILED, value=None, error=error, properties=(), stdout_tail="", stderr_tail=""
    )
