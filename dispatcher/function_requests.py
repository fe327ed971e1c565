"""Answers what the workflow functions of plugins ask of the engine that runs their executions.

The function is a program in a process of its own; the graphs that it submits are the engine's. So every question is
short and may be asked again: a graph that is there already is not added twice, an answer about a task that has moved
on changes nothing. A question that waits for a graph is held, and answered as soon as there is something to tell, or
when its time is over. A question that reaches a dispatcher which does not run the execution is answered with
``again``: the agent asks once more, until it meets the owner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from outrider.dispatcher import control, modifications, narrate
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.handling import Handling, position_of
from outrider.dispatcher.progress import Progress
from outrider.dispatcher.run import Run
from outrider.dispatcher.stages import Stages
from outrider.dispatcher.store import attempts, jsontext
from outrider.dispatcher.store.attempts import Attempt, AttemptState
from outrider.dispatcher.store.tasks import DONE, TaskState
from outrider.dispatcher.submissions import SubmissionRefused, submitted_graph
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import TaskKind
from outrider.messaging.messages import ControlRequest, PropertyChange
from outrider.messaging.transport import Outgoing

Json = Mapping[str, Any]

#: Agents ask again after a few seconds; an answer has to be there before.
_LONGEST_WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A question that waits for a graph."""

    asked: ControlRequest
    execution_id: str
    until: float


class FunctionRequests:
    """The questions of workflow functions."""

    def __init__(
        self, stages: Stages, progress: Progress, run_of: Callable[[str], Run | None], note_ready: Callable[[Run], None]
    ) -> None:
        handling = Handling(progress)
        self._stages = stages
        self._run_of = run_of
        self._note_ready = note_ready
        self._held: list[_Held] = []
        self._handlers: Mapping[str, Callable[[Turn, Run, Json], Json]] = {
            "view": _view,
            "submit": self._submit,
            "results": _results,
            "answer": handling.answer,
            "replace": handling.replace,
            "event": _event,
            "state": _state,
            "status": _status,
            "properties": _properties,
            "execution": _execution,
            "start_modification": modifications.start,
            "finish_modification": modifications.finish,
            "rollback_modification": modifications.roll_back,
            "list_modifications": modifications.list_started,
        }

    def ask(self, turn: Turn, asked: ControlRequest, attempt: Attempt) -> None:
        """Answer a question, or hold it."""
        run = self._run_of(attempt.execution_id)
        if attempt.state is AttemptState.ENDED:
            turn.notes.append(control.reply(asked, error=f"attempt {attempt.id} has a verdict already"))
            return
        if run is None or run.graph is None or attempt.id not in run.open or not turn.own(run):
            turn.notes.append(control.reply(asked, payload={"again": True}))
            return
        if asked.payload.get("request") == "wait":
            wait = min(float(asked.payload.get("wait_seconds") or 0.0), _LONGEST_WAIT_SECONDS)
            self._held.append(_Held(asked, run.id, turn.now + wait))
            return
        turn.notes.append(self._answered(turn, run, asked))
        self._note_ready(run)

    def answer_held(self, turn: Turn) -> None:
        """Answer those that waited and can be told something now; called after the executions have gone on."""
        still = []
        for held in self._held:
            run = self._run_of(held.execution_id)
            if run is None or run.graph is None or run.ended:
                turn.notes.append(control.reply(held.asked, payload={"again": True}))
                continue
            if held.execution_id not in turn.owned and turn.now < held.until:
                still.append(held)
                continue
            try:
                found = standing(run, str(held.asked.payload.get("graph")))
            except SubmissionRefused as error:
                turn.notes.append(control.reply(held.asked, error=str(error)))
                continue
            if _is_news(found, held.asked.payload) or turn.now >= held.until:
                turn.notes.append(control.reply(held.asked, payload=found))
            else:
                still.append(held)
        self._held = still

    def next(self) -> float | None:
        """Return when the first held question has to be answered."""
        return min((held.until for held in self._held), default=None)

    def _answered(self, turn: Turn, run: Run, asked: ControlRequest) -> Outgoing:
        handler = self._handlers.get(str(asked.payload.get("request")))
        if handler is None:
            return control.reply(asked, error=f"a dispatcher does not answer {asked.payload.get('request')!r}")
        try:
            return control.reply(asked, payload=handler(turn, run, asked.payload))
        except (DispatcherError, WorkflowError) as error:
            return control.reply(asked, error=str(error))
        except (KeyError, TypeError, ValueError) as error:
            # What a plugin's process sends is no more to be trusted than any other input.
            return control.reply(asked, error=f"the question is not understood: {type(error).__name__}: {error}")

    def _submit(self, turn: Turn, run: Run, payload: Json) -> Json:
        name, graph = str(payload["graph"]), run.current
        if not name or "/" in name:
            raise SubmissionRefused(f"a graph cannot be named {name!r}: the name is not empty and has no '/'")
        stored = name in graph.subgraphs
        if not stored and run.model is not None:
            self._stages.extend(turn, run, submitted_graph(name, payload, run.model.view()))
        return {"stored": stored}


def standing(run: Run, name: str) -> dict[str, Any]:
    """Return how far a submitted graph is."""
    graph = run.current
    if name not in graph.subgraphs:
        raise SubmissionRefused(f"graph {name!r} was not submitted by this execution")
    members = graph.members(name)
    failed = [each for each in members if graph.states[each] in (TaskState.FAILED, TaskState.CANCELLED)]
    failed = [each for each in failed if each not in run.held]
    blocked = graph.dependents(failed) if failed else set()
    ended = {*failed, *blocked}
    local = [
        each for each in members if graph.states[each] is TaskState.SENDING and graph.tasks[each].kind is TaskKind.LOCAL
    ]
    return {
        "open": sum(graph.states[each] not in DONE and each not in ended for each in members),
        "failed": [graph.tasks[each].id for each in failed],
        "local": [graph.tasks[each].id for each in local],
        "cancelled": run.cancel is not None,
    }


def _is_news(found: Json, payload: Json) -> bool:
    known = {*(payload.get("known") or ())}
    return (
        not found["open"]
        or found["cancelled"]
        or any(each not in known for each in (*found["failed"], *found["local"]))
    )


def _view(_turn: Turn, run: Run, payload: Json) -> Json:
    """Return the deployment; its nodes only when they are asked for, since they do not change on the way."""
    if run.model is None:
        raise SubmissionRefused("the execution has no deployment")
    view = run.model.view()
    found: dict[str, Any] = {"instances": [asdict(each) for each in view.instances.values()]}
    if payload.get("nodes"):
        found["nodes"] = list(view.nodes.values())
        found["scaling_groups"] = dict(view.scaling_groups)
    return {**found, **_status(_turn, run, payload)}


def _status(_turn: Turn, run: Run, _payload: Json) -> Json:
    return {
        "cancel": None if run.cancel is None else run.cancel.value,
        "wait_after_fail_seconds": run.execution.wait_after_fail_seconds,
        "dry_run": run.execution.dry_run,
        "config": {} if run.model is None else dict(run.model.config),
    }


def _results(turn: Turn, run: Run, payload: Json) -> Json:
    """Return what tasks ended with: state, value, error."""
    graph = run.current
    positions = [position_of(graph, each) for each in payload["tasks"]]
    ids = {f"{graph.task_id(each)}.{graph.attempts[each]}": each for each in positions if graph.attempts[each]}
    known = {attempt.id: attempt.result for attempt in attempts.by_ids(turn.connection, list(ids)).values()}
    # What this turn recorded is written at its end.
    known |= {row["b_id"]: jsontext.load(row["b_result"]) for row in turn.ended}
    found: dict[str, Any] = {}
    for position in positions:
        found[graph.tasks[position].id] = {"state": graph.states[position].value, "value": None, "error": None}
    for attempt_id, position in ids.items():
        result = known.get(attempt_id) or {}
        found[graph.tasks[position].id] |= {"value": result.get("value"), "error": result.get("error")}
    return {"results": found}


def _event(turn: Turn, run: Run, payload: Json) -> Json:
    narrate.about_execution(turn, run, str(payload.get("event_type") or "workflow_stage"), str(payload["message"]))
    return {}


def _state(_turn: Turn, run: Run, payload: Json) -> Json:
    if run.model is None or payload["instance"] not in run.model.instances:
        raise SubmissionRefused(f"node instance {payload['instance']!r} does not exist")
    if not run.execution.dry_run:
        run.model.set_state(payload["instance"], str(payload["state"]))
    return {}


def _properties(_turn: Turn, run: Run, payload: Json) -> Json:
    """Store the runtime properties that the function gave an instance, unless somebody wrote it since."""
    instance = None if run.model is None else run.model.instances.get(payload["instance"])
    if run.model is None or instance is None:
        raise SubmissionRefused(f"node instance {payload['instance']!r} does not exist")
    wanted = dict(payload["properties"])
    if instance.runtime_properties == wanted:
        # The question was asked again: the first one has been answered by this change.
        return {}
    if instance.version != payload["version"]:
        raise SubmissionRefused(
            f"node instance {instance.id!r} was changed since the workflow looked at it (version {payload['version']},"
            f" now {instance.version}): refresh the instances and change it again"
        )
    change = PropertyChange(instance.id, wanted, (), base_version=instance.version, sequence=1, replace=True)
    if not run.execution.dry_run:
        run.model.merge([change], after=0)
    return {}


def _execution(_turn: Turn, run: Run, _payload: Json) -> Json:
    """Return what the function may know of its own execution."""
    execution = run.execution
    return {
        "id": execution.id,
        "workflow_id": execution.workflow,
        "deployment_id": execution.deployment_id,
        # The row says how the execution was when it was taken up; whoever asks is running.
        "status": "started" if run.cancel is None else "cancelling",
        "parameters": dict(execution.parameters),
        "is_dry_run": execution.dry_run,
    }
