"""Records what agents say of attempts: results, late results, logs, events, properties. Any dispatcher may.

The first terminal verdict decides; it is written where no verdict stands yet. If the execution is run here, the
consequences are drawn in the same transaction; otherwise its owner is woken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from outrider.dispatcher import narrate
from outrider.dispatcher.attempts import token_hash
from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.late import LateWords
from outrider.dispatcher.model import Model
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.retries import Ending
from outrider.dispatcher.run import OpenAttempt, Run
from outrider.dispatcher.signals import ResultArrived, UpdateArrived
from outrider.dispatcher.store import attempts, bulk, executions, tasks
from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Execution
from outrider.dispatcher.store.tasks import StoredTask
from outrider.dispatcher.turn import Turn
from outrider.messaging.codec import from_json, to_json
from outrider.messaging.messages import OperationError, OperationResult, Proof, PropertyChange, Verdict
from outrider.messaging.transport import Delivery

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict that does not come with a result: a lease that ended, a returned message, a dead letter."""

    attempt_id: str
    verdict: Verdict
    reason: str
    #: It is about a message. There may be two of an attempt: one that is published again, as nobody knows of the first.
    of_message: bool = False


class Recorder:
    """Writes verdicts."""

    def __init__(
        self, progress: Progress, run_of: Callable[[str], Run | None], wake: Callable[[Turn, str], None]
    ) -> None:
        self._progress = progress
        self._late_words = LateWords(progress, run_of)
        #: The execution if it is run here.
        self._run_of = run_of
        #: Tells the owner of an execution that is run elsewhere.
        self._wake = wake

    # -- results ------------------------------------------------------------------------------------------------------

    def results(
        self, turn: Turn, arrivals: Sequence[ResultArrived], *, and_updates: Sequence[UpdateArrived] = ()
    ) -> None:
        """Record results; each message is acked or rejected after the commit.

        The attempts of the updates that the turn takes next are locked with theirs: of two dispatchers, one may have
        an attempt's result and the other its last update, and of another attempt the other way round.
        """
        ids = {each.result.attempt_id for each in arrivals}
        updated = {each.update.attempt_id for each in and_updates} if arrivals else set()
        states = attempts.lock_states(turn.connection, ids | updated)
        ours = self._open_here(turn, arrivals, states)
        others = attempts.by_ids(turn.connection, [each for each in states if each in ids and each not in ours])
        seen: set[str] = set()
        for arrival in arrivals:
            result = arrival.result
            run, attempt = ours.get(result.attempt_id) or (None, others.get(result.attempt_id))
            problem = not_allowed(attempt, result.token, result.agent_id, arrival.delivery)
            if problem is not None or attempt is None:
                turn.to_reject.append((arrival.delivery, problem or ""))
                continue
            turn.to_ack.append(arrival.delivery)
            if attempt.id in seen:
                continue
            seen.add(attempt.id)
            if isinstance(attempt, Attempt) and attempt.state is AttemptState.ENDED:
                self._late(turn, attempt, result)
            else:
                self._first(turn, run, attempt, result)

    def _open_here(
        self, turn: Turn, arrivals: Iterable[ResultArrived], states: Mapping[str, AttemptState]
    ) -> dict[str, tuple[Run, OpenAttempt]]:
        """Return what we know ourselves of attempts that are open here and in the store: no more has to be read."""
        found = {}
        for arrival in arrivals:
            attempt_id = arrival.result.attempt_id
            run = self._run_of(arrival.result.execution_id)
            opened = None if run is None else run.open.get(attempt_id)
            standing = states.get(attempt_id, AttemptState.ENDED)
            if run is not None and opened is not None and standing is not AttemptState.ENDED and turn.own(run):
                found[attempt_id] = run, opened
        return found

    def findings(self, turn: Turn, found: Sequence[Finding]) -> None:
        """Record verdicts that we came to ourselves; a verdict that stands changes only from *unknown*."""
        known = attempts.by_ids(turn.connection, [each.attempt_id for each in found], lock=True)
        for finding in found:
            attempt = known.get(finding.attempt_id)
            if attempt is None:
                continue
            error = OperationError("Outrider", finding.reason)
            proof = Proof.NEVER_STARTED if finding.verdict is Verdict.NEVER_STARTED else Proof.NONE
            stored = {"error": to_json(error)}
            if finding.of_message and self._runs(attempt):
                # Its agent has the other one.
                continue
            if attempt.state is not AttemptState.ENDED:
                self._end(turn, attempt, Ending(verdict=finding.verdict, error=error), proof=proof, stored=stored)
            elif finding.verdict is Verdict.NEVER_STARTED:
                # Its message came back after it was given up.
                self._late_words.take(turn, attempt, {**stored, "verdict": finding.verdict.value, "proof": proof.value})
        # What its agent says after all may be in the same turn, and is late then: it must not be taken for the first.
        turn.write_endings()

    def _runs(self, attempt: Attempt) -> bool:
        run = self._run_of(attempt.execution_id)
        opened = None if run is None else run.open.get(attempt.id)
        return AttemptState.STARTED in (attempt.state, None if opened is None else opened.state)

    def take_up(self, turn: Turn, run: Run, found: Iterable[Attempt]) -> None:
        """Draw the consequences of verdicts that others recorded for an execution of ours."""
        for attempt in found:
            opened = run.open.get(attempt.id)
            turn.applied.append({"b_id": attempt.id})
            if opened is None or attempt.verdict is None:
                continue
            verdict, stored = attempt.verdict, attempt.result or {}
            if verdict in attempts.UNCERTAIN and attempt.late_result is not None:
                # It came before anybody acted on the verdict.
                verdict, stored = Verdict(attempt.late_result["verdict"]), attempt.late_result
                bulk.write(turn.connection, attempts.REPLACE, [attempts.replacement(attempt.id, stored)])
            opened.property_sequence = attempt.property_sequence
            changes = [from_json(PropertyChange, each) for each in stored.get("properties", ())]
            self._progress.settle(turn, run, opened, Ending.stored(verdict, stored), properties=changes)

    def _first(self, turn: Turn, run: Run | None, attempt: Attempt | OpenAttempt, result: OperationResult) -> None:
        ending = Ending(verdict=result.verdict, value=result.value, error=result.error)
        stored, properties = _stored(result), result.properties
        if run is not None and isinstance(attempt, OpenAttempt):
            self._end_ours(turn, run, attempt, ending, proof=result.proof, stored=stored, properties=properties)
        elif isinstance(attempt, Attempt):
            self._end(turn, attempt, ending, proof=result.proof, stored=stored, properties=properties)

    def _end(
        self,
        turn: Turn,
        attempt: Attempt,
        ending: Ending,
        *,
        proof: Proof,
        stored: dict[str, Any],
        properties: Sequence[PropertyChange] = (),
    ) -> None:
        run = self._run_of(attempt.execution_id)
        opened = None if run is None or not turn.own(run) else run.open.get(attempt.id)
        if run is not None and opened is not None:
            self._end_ours(turn, run, opened, ending, proof=proof, stored=stored, properties=properties)
            return
        if properties:
            # The owner merges them; it reads them here.
            stored["properties"] = [to_json(each) for each in properties]
        turn.end(attempt.id, ending.verdict, proof, stored, applied=False)
        self._wake(turn, attempt.execution_id)

    def _end_ours(
        self,
        turn: Turn,
        run: Run,
        opened: OpenAttempt,
        ending: Ending,
        *,
        proof: Proof,
        stored: dict[str, Any],
        properties: Sequence[PropertyChange],
    ) -> None:
        turn.end(opened.id, ending.verdict, proof, stored, applied=True)
        self._progress.settle(turn, run, opened, ending, properties=properties)

    # -- late results -------------------------------------------------------------------------------------------------

    def _late(self, turn: Turn, attempt: Attempt, result: OperationResult) -> None:
        word = {**_stored(result), "verdict": result.verdict.value, "proof": result.proof.value}
        kept = self._late_words.take(turn, attempt, word)
        if kept is not None and result.properties:
            self._merge(turn, kept.run, kept.execution, attempt, result.properties, only_if_unchanged=True)

    # -- updates ------------------------------------------------------------------------------------------------------

    def updates(self, turn: Turn, arrivals: Sequence[UpdateArrived]) -> None:
        """Record log lines, events and property changes of running attempts."""
        known = attempts.by_ids(turn.connection, [each.update.attempt_id for each in arrivals], lock=True)
        contexts: dict[str, tuple[Execution, StoredTask]] = {}
        for arrival in arrivals:
            update, attempt = arrival.update, known.get(arrival.update.attempt_id)
            problem = not_allowed(attempt, update.token, update.agent_id, arrival.delivery)
            if problem is not None or attempt is None:
                turn.to_reject.append((arrival.delivery, problem or ""))
                continue
            if attempt.task_id not in contexts:
                found = (
                    executions.get(turn.connection, attempt.execution_id),
                    tasks.get(turn.connection, attempt.task_id),
                )
                contexts[attempt.task_id] = found
            execution, task = contexts[attempt.task_id]
            self._update(turn, attempt, execution, task, arrival)
            turn.to_ack.append(arrival.delivery)

    def _update(
        self, turn: Turn, attempt: Attempt, execution: Execution, task: StoredTask, arrival: UpdateArrived
    ) -> None:
        update = arrival.update
        run = self._run_of(execution.id)
        if run is not None and not turn.own(run):
            run = None
        if run is not None:
            self.started(turn, run, attempt.id)
        for line in update.logs:
            plain = narrate.of_stored_task(execution, task, line.message, happened_at=line.time)
            turn.events.append(_numbered(plain, attempt, line.sequence, level=line.level, logger=line.logger))
        for event in update.events:
            plain = narrate.of_stored_task(execution, task, event.message, happened_at=event.time)
            turn.events.append(_numbered(plain, attempt, event.sequence, event_type=event.event_type))
        if not update.properties:
            return
        if attempt.state is not AttemptState.ENDED:
            self._merge(turn, run, execution, attempt, update.properties, only_if_unchanged=False)
        elif attempt.verdict in attempts.UNCERTAIN:
            self._merge(turn, run, execution, attempt, update.properties, only_if_unchanged=True)
        # Otherwise the result brought all changes of the attempt, these among them.

    def started(self, turn: Turn, run: Run, attempt_id: str) -> None:
        """The agent says that an attempt of ours runs."""
        opened = run.open.get(attempt_id)
        if opened is not None and opened.state is not AttemptState.STARTED:
            opened.state = AttemptState.STARTED
            turn.started.append({"b_id": attempt_id, "b_at": turn.stored_now})

    def _merge(
        self,
        turn: Turn,
        run: Run | None,
        execution: Execution,
        attempt: Attempt,
        changes: Sequence[PropertyChange],
        *,
        only_if_unchanged: bool,
    ) -> None:
        opened = None if run is None else run.open.get(attempt.id)
        # Another dispatcher may have merged a later update: the queue of updates is everybody's.
        after = max(attempt.property_sequence, turn.sequences.get(attempt.id, 0))
        if opened is not None:
            after = max(after, opened.property_sequence)
        if run is not None and run.model is not None:
            newest = run.model.merge(changes, after=after, only_if_unchanged=only_if_unchanged)
        elif execution.deployment_id is not None:
            newest = _merge_stored(turn, execution, changes, after=after, only_if_unchanged=only_if_unchanged)
        else:
            return
        turn.sequences[attempt.id] = newest
        if opened is not None:
            opened.property_sequence = newest


def not_allowed(attempt: Attempt | OpenAttempt | None, token: str, agent_id: str, delivery: Delivery) -> str | None:
    """Return why a message about an attempt is not believed; None = it is."""
    if attempt is None:
        return "it names an attempt that does not exist"
    if attempt.agent_id != agent_id or not delivery.routing_key.startswith(f"{agent_id}."):
        return f"attempt {attempt.id} was given to agent {attempt.agent_id!r}, the sender is {delivery.routing_key!r}"
    if token_hash(token) != attempt.token_hash:
        return f"the token is not that of attempt {attempt.id}"
    return None


def _stored(result: OperationResult) -> dict[str, Any]:
    stored: dict[str, Any] = {"value": result.value}
    if result.error is not None:
        stored["error"] = to_json(result.error)
    stored["durations"] = to_json(result.durations)
    stored["usage"] = to_json(result.usage)
    if result.stdout_tail or result.stderr_tail:
        stored["stdout_tail"], stored["stderr_tail"] = result.stdout_tail, result.stderr_tail
    if result.last_sequence:
        stored["last_sequence"] = result.last_sequence
    return stored


def _merge_stored(
    turn: Turn, execution: Execution, changes: Sequence[PropertyChange], *, after: int, only_if_unchanged: bool
) -> int:
    """Merge into a deployment that no execution of ours holds in memory."""
    key = execution.tenant, execution.deployment_id or ""
    if key not in turn.models:
        try:
            turn.models[key] = Model.load(turn.connection, key, {})
        except NotFound:
            return after
    return turn.models[key].merge(changes, after=after, only_if_unchanged=only_if_unchanged)


def _numbered(
    event: Event,
    attempt: Attempt,
    sequence: int,
    *,
    level: str | None = None,
    logger: str | None = None,
    event_type: str | None = None,
) -> Event:
    return replace(event, attempt_id=attempt.id, sequence=sequence, level=level, logger=logger, event_type=event_type)
