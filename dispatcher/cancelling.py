"""Cancels: nothing new starts, agents are told to stop what runs, and their answers are awaited within a bound."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from outrider.dispatcher import control, narrate
from outrider.dispatcher.alarms import Alarm, TimerKey
from outrider.dispatcher.recorder import Finding
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.signals import ReplyArrived
from outrider.dispatcher.store.executions import CANCELLING, Cancel
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.messaging.messages import ControlKind, Verdict


def begin(
    turn: Turn, run: Run, kind: Cancel, dispatcher_id: str, settings: EngineSettings, timers: Timers[TimerKey]
) -> list[Finding]:
    """Begin, or sharpen, a cancel; returns verdicts to record at once (a forced one does not wait)."""
    run.cancel = kind
    run.cancelled_at = turn.now
    turn.save_execution(run, {"status": CANCELLING[kind].value})
    narrate.about_execution(turn, run, "workflow_event", f"Cancelling the execution ({kind.value})")
    # A workflow function hears of it from its next question, and gets until the repetition to end in its own way.
    gently = kind is Cancel.NORMAL and run.graph is not None and run.graph.function_lives
    _tell(turn, run, dispatcher_id, but_function=gently)
    if kind is not Cancel.NORMAL:
        return give_up(turn, run, dispatcher_id, told=True)
    timers.set((Alarm.REPEAT_CANCEL, run.id, 0), turn.now + settings.cancel_repeat_seconds)
    timers.set((Alarm.GIVE_UP, run.id, 0), turn.now + settings.cancel_bound_seconds)
    return []


def repeat(turn: Turn, run: Run, dispatcher_id: str, settings: EngineSettings, timers: Timers[TimerKey]) -> None:
    """Tell agents once more; control messages are not durable."""
    if run.cancel is not None and run.open:
        _tell(turn, run, dispatcher_id)
        timers.set((Alarm.REPEAT_CANCEL, run.id, 0), turn.now + settings.cancel_repeat_seconds)


def give_up(turn: Turn, run: Run, dispatcher_id: str, *, told: bool = False) -> list[Finding]:
    """Wait no longer: what is open gets the verdict that nobody confirmed its end."""
    run.given_up = True
    if not told:
        _tell(turn, run, dispatcher_id)
    reason = "the execution ended before its agent confirmed that it has stopped"
    return [Finding(each, Verdict.NOT_CONFIRMED, reason) for each in run.open]


def confirmed(turn: Turn, arrivals: Iterable[ReplyArrived], run_of: Callable[[str], Run | None]) -> list[Finding]:
    """Return verdicts from agents' answers to cancels: one whose journal now forbids the start need not be awaited.

    Other answers say no more than the result that follows them.
    """
    found = []
    for arrival in arrivals:
        turn.to_ack.append(arrival.delivery)
        reply = arrival.reply
        attempt_id = reply.request_id.partition("/")[0]
        run = run_of(attempt_id.rpartition("-")[0])
        attempt = None if run is None else run.open.get(attempt_id)
        believed = attempt is not None and arrival.delivery.routing_key.startswith(f"{attempt.agent_id}.")
        if run is not None and believed and reply.payload.get("outcome") == "never_started" and turn.own(run):
            found.append(Finding(attempt_id, Verdict.NEVER_STARTED, "it was cancelled before it started"))
    return found


def _tell(turn: Turn, run: Run, dispatcher_id: str, *, but_function: bool = False) -> None:
    payload = {"kill": True} if run.cancel is Cancel.KILL else {}
    for attempt in run.open.values():
        if but_function and attempt.position == 0:
            continue
        question = control.request(
            ControlKind.CANCEL,
            attempt.agent_id,
            dispatcher_id,
            attempt_id=attempt.id,
            payload=payload,
            # The answer carries it back, and thereby says which attempt it is about.
            request_id=f"{attempt.id}/{uuid.uuid4().hex}",
        )
        turn.notes.append(question)
