"""Cancel, resume, decisions, recovery of subgraphs, limits, dry run, queueing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outrider.dispatcher.errors import ExecutionRunning
from outrider.dispatcher.store import executions, tasks
from outrider.dispatcher.store.executions import Cancel, Status
from outrider.dispatcher.store.tasks import TaskState
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.messaging.messages import ControlKind, OperationTask, Verdict
from tests.support.engines import Bench, bench, chain, one_stage, operation, side_by_side
from tests.support.scripted_agent import ScriptedAgent, ended, failed, succeeded


def silent(_task: OperationTask) -> None:
    return None


def cancel(made: Bench, execution_id: str, kind: Cancel = Cancel.NORMAL) -> None:
    with made.database.begin() as connection:
        executions.request_cancel(connection, execution_id, kind, now=0.0)
    made.look()


def resume(made: Bench, execution_id: str) -> None:
    with made.database.begin() as connection:
        executions.request_resume(connection, execution_id)
    made.look()


def test_a_cancel_starts_nothing_new_and_waits_for_what_runs(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        cancel(made, execution_id)
        made.until(lambda: len(agent.requests) == 1)
        assert agent.requests[0].kind is ControlKind.CANCEL
        assert agent.requests[0].attempt_id == agent.tasks[0].attempt_id
        assert made.execution(execution_id).status is Status.CANCELLING
        agent.send(ended(agent.tasks[0], Verdict.CANCELLED))
        assert made.ended(execution_id).status is Status.CANCELLED
        assert made.tasks(execution_id)["b"].state is TaskState.PENDING


def test_a_cancel_that_no_agent_confirms_ends_within_its_bound_and_says_so(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        cancel(made, execution_id)
        made.pass_time(made.settings.cancel_bound_seconds + 4)
        assert made.ended(execution_id).status is Status.CANCELLED
        assert made.attempts(execution_id)[0].verdict is Verdict.NOT_CONFIRMED
        agent.send(ended(agent.tasks[0], Verdict.CANCELLED))
        made.until(lambda: made.attempts(execution_id)[0].verdict is Verdict.CANCELLED)


def test_a_cancel_that_overtook_the_task_ends_at_once(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        other = ScriptedAgent(made.transport, "other")
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        cancel(made, execution_id)
        made.until(lambda: len(agent.requests) == 1)
        other.reply(agent.requests[0], outcome="never_started")
        agent.reply(agent.requests[0], outcome="finished")
        made.take_in()
        assert not made.execution(execution_id).ended
        agent.reply(agent.requests[0], outcome="never_started")
        assert made.ended(execution_id).status is Status.CANCELLED
        assert made.attempts(execution_id)[0].verdict is Verdict.NEVER_STARTED


def test_a_kill_tells_agents_to_give_no_grace(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        cancel(made, execution_id, Cancel.KILL)
        assert made.ended(execution_id).status is Status.CANCELLED
        made.until(lambda: len(agent.requests) >= 1)
        assert agent.requests[0].payload == {"kill": True}


def test_a_forced_cancel_does_not_wait(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        cancel(made, execution_id, Cancel.FORCE)
        assert made.ended(execution_id).status is Status.CANCELLED
        made.until(lambda: len(agent.requests) >= 1)


def test_a_cancelled_execution_resumes_where_it_was(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b"), operation("c")))) as made:
        agent = ScriptedAgent(
            made.transport, answer=lambda task: succeeded(task) if task.task_id.endswith(".0") else None
        )
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 2)
        cancel(made, execution_id)
        agent.send(ended(agent.tasks[1], Verdict.CANCELLED))
        made.ended(execution_id)
        agent.answer = succeeded
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert [task.task_id.rsplit(".")[-1] for task in agent.tasks] == ["0", "1", "1", "2"]
        assert agent.tasks[2].previous_attempt_id == agent.tasks[1].attempt_id


@pytest.mark.parametrize(("kind", "sent"), [("retry", 3), ("done", 2), ("skip", 2)])
def test_a_resume_does_what_a_person_decided(tmp_path: Path, kind: str, sent: int) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=lambda task: failed(task, recoverable=False))
        execution_id = made.start()
        made.ended(execution_id)
        with made.database.begin() as connection:
            row = made.tasks(execution_id)["a"]
            tasks.decide(connection, row.id, {"kind": kind, "inputs": {"color": "blue"}})
        agent.answer = succeeded
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert len(agent.tasks) == sent
        if kind == "retry":
            assert agent.tasks[1].inputs == {"color": "blue"}


def test_a_failure_stops_its_dependents_and_lets_the_others_end(tmp_path: Path) -> None:
    graph = side_by_side(operation("a"), operation("b"))
    graph = replace(graph, tasks={**graph.tasks, "c": operation("c")}, dependencies={"c": ("a",)})
    with bench(tmp_path, one_stage(graph)) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 2)
        agent.send(failed(agent.tasks[0], recoverable=False))
        made.until(lambda: made.tasks(execution_id)["a"].state is TaskState.FAILED)
        assert not made.execution(execution_id).ended
        agent.send(succeeded(agent.tasks[1]))
        assert made.ended(execution_id).status is Status.FAILED
        assert {name: row.state.value for name, row in made.tasks(execution_id).items()} == {
            "a": "failed",
            "b": "succeeded",
            "c": "pending",
        }


def test_an_ignored_failure_counts_as_done(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a", ignore_failure=True), operation("b")))) as made:
        ScriptedAgent(
            made.transport,
            answer=lambda task: failed(task, recoverable=False) if task.task_id.endswith(".0") else succeeded(task),
        )
        assert made.ended(made.start()).status is Status.TERMINATED


def test_a_failed_subgraph_is_replaced_and_who_waited_for_it_waits_for_the_replacement(tmp_path: Path) -> None:
    graph = chain(operation("a", subgraph="s"), operation("b", subgraph="s"), operation("after"))
    graph = replace(graph, subgraphs={"s": Subgraph(id="s", instance="node_1", recovery="again")})

    def recover(_name: str, failed_one: Subgraph, _view: object) -> TaskGraph:
        new = chain(operation("x", subgraph="s2"), operation("y", subgraph="s2"))
        return replace(new, subgraphs={"s2": replace(failed_one, id="s2")})

    workflow = one_stage(graph, recover=recover)
    with bench(tmp_path, workflow) as made:
        agent = ScriptedAgent(
            made.transport,
            answer=lambda task: failed(task, recoverable=False) if task.task_id.endswith(".1") else succeeded(task),
        )
        execution_id = made.start(details={"config": {"subgraph_retries": 1}})
        execution = made.ended(execution_id)
        assert execution.status is Status.TERMINATED, execution.error
        assert [task.task_id.rsplit(".")[-1] for task in agent.tasks] == ["0", "1", "3", "4", "2"]
        assert made.tasks(execution_id)["b"].state is TaskState.SUPERSEDED


def test_the_limit_of_open_attempts_is_kept(tmp_path: Path) -> None:
    graph = side_by_side(*(operation(f"t{number}") for number in range(9)))
    with bench(tmp_path, one_stage(graph)) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start(max_concurrency=3)
        made.until(lambda: len(agent.tasks) == 3)
        made.look()
        assert len(agent.tasks) == 3
        agent.answer = succeeded
        for task in list(agent.tasks):
            agent.send(succeeded(task))
        assert made.ended(execution_id).status is Status.TERMINATED


def test_a_planner_that_crashes_fails_its_own_execution_only(tmp_path: Path) -> None:
    def crash(_view: object) -> StagePlan:
        raise KeyError("a defect")

    with bench(tmp_path, Workflow(name="test", stages=(Stage(name="only", plan=crash),))) as made:
        broken = made.ended(made.start())
        assert broken.status is Status.FAILED
        assert "KeyError" in str(broken.error)
        made.planner = lambda _execution, _view: one_stage(chain(operation("a")))
        ScriptedAgent(made.transport)
        assert made.ended(made.start()).status is Status.TERMINATED


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        assert made.ended(made.start(dry_run=True)).status is Status.TERMINATED
        assert agent.tasks == []


def test_a_second_execution_of_a_deployment_is_refused_queued_or_forced(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        first = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        with pytest.raises(ExecutionRunning, match=first):
            made.start()
        queued = made.start(queue=True)
        assert made.execution(queued).status is Status.QUEUED
        forced = made.start(force=True)
        made.until(lambda: len(agent.tasks) == 2)
        agent.answer = succeeded
        for task in list(agent.tasks):
            agent.send(succeeded(task))
        made.ended(first)
        made.ended(forced)
        made.clock.advance(made.settings.poll_seconds)
        assert made.ended(queued).status is Status.TERMINATED


def test_a_poll_is_repeated_until_its_result_is_true(tmp_path: Path) -> None:
    task = operation("a", until_truthy=True, max_retries=0)
    with bench(tmp_path, one_stage(chain(task))) as made:
        agent = ScriptedAgent(made.transport, answer=lambda task: succeeded(task, value=task.attempt_number == 3))
        execution_id = made.start()
        for number in (1, 2, 3):
            made.until(lambda number=number: len(agent.tasks) == number)  # type: ignore[misc]
            made.until(lambda: made.tasks(execution_id)["a"].state is not TaskState.SENDING)
            made.clock.advance(made.settings.retry_interval_seconds)
        assert made.ended(execution_id).status is Status.TERMINATED


def test_an_execution_at_which_every_turn_fails_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    class Hostile(str):
        """A name at which our code fails when it comes to send the operation."""

        __slots__ = ()

        def __hash__(self) -> int:
            raise RuntimeError("a defect")

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        ScriptedAgent(made.transport)
        broken = made.start()
        hostile = one_stage(chain(operation("a", operation=Hostile("test.do"))))
        made.planner = lambda execution, _view: hostile if execution.id == broken else one_stage(chain(operation("a")))
        good = made.start(force=True)
        for _ in range(200):
            made.clock.advance(0.5)
            made.engine.guarded_turn(wait_seconds=0.01)
            if made.execution(broken).ended and made.execution(good).ended:
                break
        assert made.execution(good).status is Status.TERMINATED
        failed_one = made.execution(broken)
        assert failed_one.status is Status.FAILED
        assert "a defect of Outrider stopped this execution: RuntimeError: a defect" in str(failed_one.error)
        assert "Traceback" in str(failed_one.error)
