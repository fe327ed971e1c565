"""One turn of the engine: what it writes, in one transaction, and what it sends once that is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher.model import Model
from outrider.dispatcher.run import Run
from outrider.dispatcher.store import attempts, bulk, events, executions, jsontext, tasks, tokens
from outrider.dispatcher.store.events import Event
from outrider.messaging.messages import Proof, Verdict
from outrider.messaging.transport import Delivery, Outgoing


@dataclass(slots=True)
class Turn:
    """Collects rows by statement, so that each statement runs once with many rows."""

    connection: Connection
    #: The database's clock, for what is stored, and the engine's, for what it waits for.
    stored_now: float
    now: float
    new_attempts: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    applied: list[dict[str, Any]] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Rows of events of the engine's own (see `narrate`), and events and log lines that agents sent.
    told: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    #: The execution that was dealt with last: if the turn fails, it fails at this one.
    subject: str | None = None
    #: Executions that were checked to be ours in this transaction.
    owned: dict[str, Run] = field(default_factory=dict)
    #: Executions that turned out to be somebody else's.
    lost: list[Run] = field(default_factory=list)
    #: Attempt id → message; published after the commit.
    outbox: dict[str, Outgoing] = field(default_factory=dict)
    #: Deployments whose executions are run elsewhere, as far as their agents' changes were taken here.
    models: dict[tuple[str, str], Model] = field(default_factory=dict)
    #: Messages that nobody waits for: control requests, replies, wake-ups.
    notes: list[Outgoing] = field(default_factory=list)
    to_ack: list[Delivery] = field(default_factory=list)
    to_reject: list[tuple[Delivery, str]] = field(default_factory=list)

    def own(self, run: Run) -> bool:
        """Make sure that an execution is still ours, and stays so until the commit.

        Its row is written under the epoch that we know. If no row matches, another dispatcher has adopted it: it is
        dropped from memory, and nothing of it is written.
        """
        self.subject = run.id
        if run.id in self.owned:
            return True
        if run in self.lost:
            return False
        if not executions.update_owned(self.connection, run.execution, {}):
            self.lost.append(run)
            return False
        self.owned[run.execution.id] = run
        if run.model is not None:
            run.model.refresh(self.connection)
        return True

    def end(self, attempt_id: str, verdict: Verdict, proof: Proof, stored: Mapping[str, Any], *, applied: bool) -> None:
        """Write an attempt's verdict; `applied`: its consequences are drawn in this turn."""
        self.ended.append(
            {
                "b_id": attempt_id,
                "b_verdict": verdict.value,
                "b_applied": applied,
                "b_at": self.stored_now,
                "b_proof": proof.value,
                "b_result": jsontext.dump(stored),
            }
        )

    def write_endings(self) -> None:
        """Write the verdicts that were collected now: a result of the same turn has to find them."""
        bulk.write(self.connection, attempts.END, self.ended)
        self.ended.clear()

    def save_task(self, run: Run, position: int, *, not_before: float | None = None, error: str | None = None) -> None:
        """Write where a task stands."""
        graph = run.current
        task_id = graph.task_id(position)
        self.tasks[task_id] = {
            "b_id": task_id,
            "b_state": graph.states[position].value,
            "b_attempt": graph.attempts[position],
            "b_retries": graph.retries[position],
            "b_not_before": not_before,
            "b_error": error,
        }

    def save_execution(self, run: Run, values: Mapping[str, Any]) -> None:
        """Write columns of an execution."""
        executions.update_owned(self.connection, run.execution, values)

    def flush(self) -> None:
        """Write everything that was collected; the caller commits."""
        bulk.write(self.connection, attempts.INSERT, self.new_attempts)
        self.write_endings()
        for statement, rows in (
            (attempts.SENT, self.sent),
            (attempts.STARTED, self.started),
            (attempts.APPLIED, self.applied),
            (tasks.UPDATE, list(self.tasks.values())),
            (
                attempts.PROPERTY_SEQUENCE,
                [{"b_id": each, "b_sequence": number} for each, number in self.sequences.items()],
            ),
        ):
            bulk.write(self.connection, statement, rows)
        models = [run.model for run in self.owned.values() if run.model is not None]
        # Always in the same order, so that two dispatchers cannot wait for each other.
        for model in sorted((*models, *self.models.values()), key=lambda each: each.key):
            model.flush(self.connection)
        ended = [run.id for run in self.owned.values() if run.ended]
        if ended:
            tokens.delete_of_executions(self.connection, ended)
        events.append_rows(self.connection, self.told)
        events.append(self.connection, self.events, now=self.stored_now)
