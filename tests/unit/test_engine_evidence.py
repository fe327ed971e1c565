"""Verdicts: what is known of an attempt, on what evidence, and what a late result changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outrider.dispatcher import why
from outrider.dispatcher.store import tasks
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.tasks import TaskState
from outrider.messaging.messages import (
    LogRecord,
    OperationError,
    OperationResult,
    OperationTask,
    PropertyChange,
    Verdict,
)
from tests.support.engines import Bench, bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, ended, failed, not_resumable, succeeded


def silent(_task: OperationTask) -> None:
    return None


def forgetful(task: OperationTask) -> OperationResult | None:
    """Stay silent, and say of what may have run that it is not resumable."""
    return not_resumable(task) if task.only_if_resumable else None


def sent(made: Bench, agent: ScriptedAgent, count: int = 1) -> None:
    made.until(lambda: len(agent.tasks) >= count)
    made.until(lambda: all(each.state.value != "sending" for each in made.attempts(agent.tasks[0].execution_id)))


def test_an_agent_without_a_queue_means_never_started_and_the_task_is_sent_again(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        execution_id = made.start()
        made.until(lambda: bool(made.attempts(execution_id)) and made.attempts(execution_id)[0].verdict is not None)
        assert made.attempts(execution_id)[0].verdict is Verdict.NEVER_STARTED
        ScriptedAgent(made.transport)
        made.clock.advance(made.settings.resend_first_seconds)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert made.tasks(execution_id)["a"].retries == 0


def test_an_agent_that_never_appears_fails_the_task_when_the_start_window_is_over(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        execution_id = made.start()
        for _ in range(40):
            made.until(lambda: all(each.verdict is not None for each in made.attempts(execution_id)))
            made.pass_time(4.0)
            if made.execution(execution_id).ended:
                break
        execution = made.execution(execution_id)
        assert execution.status is Status.FAILED
        assert "has no queue" in str(execution.error)
        assert "outrider agent list" in str(execution.error)
        assert {each.verdict for each in made.attempts(execution_id)} == {Verdict.NEVER_STARTED}


def test_silence_beyond_the_bound_means_may_have_run_and_a_person_decides(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=forgetful)
        execution_id = made.start()
        sent(made, agent)
        made.pass_time(made.settings.verdict_bound_seconds - 5)
        assert made.attempts(execution_id)[0].verdict is None
        made.pass_time(10 + made.settings.retry_interval_seconds)
        execution = made.ended(execution_id)
        assert execution.status is Status.FAILED
        assert "may have run" in str(execution.error)
        assert "does not declare it resumable. A person decides" in str(execution.error)
        assert "retry, mark as done, or skip" in str(execution.error)
        verdicts = [each.verdict for each in made.attempts(execution_id)]
        assert verdicts == [Verdict.MAY_HAVE_RUN, Verdict.NEVER_STARTED]
        assert made.tasks(execution_id)["b"].state is TaskState.PENDING
        assert undecided(made, execution_id) == [f"{execution_id}-0.0"]


def undecided(made: Bench, execution_id: str) -> list[str]:
    with made.database.read() as connection:
        return [each.id for each in why.undecided(connection, execution_id)]


def test_a_resumable_operation_that_may_have_run_is_tried_again_by_itself(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        agent.answer = lambda task: succeeded(task) if task.only_if_resumable else None
        execution_id = made.start()
        sent(made, agent)
        made.pass_time(made.settings.verdict_bound_seconds + 10 + made.settings.retry_interval_seconds)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert [task.only_if_resumable for task in agent.tasks] == [False, True]
        assert agent.tasks[1].previous_attempt_id == agent.tasks[0].attempt_id
        assert agent.tasks[1].resumed


def test_whether_an_operation_is_resumable_is_asked_for_one_start_window_only(tmp_path: Path) -> None:
    def refuse(task: OperationTask) -> OperationResult | None:
        error = OperationError("PreviousStillRuns", "the attempt before it is still at work here")
        return ended(task, Verdict.NEVER_STARTED, error=error) if task.only_if_resumable else None

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=refuse)
        execution_id = made.start()
        sent(made, agent)
        made.pass_time(made.settings.verdict_bound_seconds + 5)
        for _ in range(60):
            made.until(lambda: all(each.verdict is not None for each in made.attempts(execution_id)))
            made.pass_time(4.0)
            if made.execution(execution_id).ended:
                break
        execution = made.execution(execution_id)
        assert execution.status is Status.FAILED
        assert "still at work here. A person decides" in str(execution.error)
        assert {task.previous_attempt_id for task in agent.tasks[1:]} == {agent.tasks[0].attempt_id}
        assert undecided(made, execution_id)


def test_a_result_that_comes_while_its_successor_is_refused_decides(tmp_path: Path) -> None:
    def refuse(task: OperationTask) -> OperationResult | None:
        if not task.only_if_resumable:
            return None
        agent.send(succeeded(agent.tasks[0], color="green"))
        return ended(task, Verdict.NEVER_STARTED, error=OperationError("PreviousHasResult", "it has a result"))

    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport)
        agent.answer = refuse
        execution_id = made.start()
        sent(made, agent)
        made.pass_time(made.settings.verdict_bound_seconds + 10 + made.settings.retry_interval_seconds)
        made.until(lambda: len(agent.tasks) >= 2)
        for _ in range(10):
            made.pass_time(4.0)
            if made.tasks(execution_id)["a"].state is TaskState.SUCCEEDED:
                break
        assert made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED
        assert made.properties() == {"color": "green"}
        made.until(lambda: any(task.task_id.endswith(".1") for task in agent.tasks))


def test_a_restarted_dispatcher_still_asks_whether_the_operation_is_resumable(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=forgetful)
        execution_id = made.start()
        sent(made, agent)
        made.engine.turn()
        for _ in range(60):
            made.pass_time(4.0)
            if made.tasks(execution_id)["a"].state is TaskState.RESCHEDULED:
                break
        made.kill(made.engine)
        two = made.new_engine("two")
        made.look(two)
        made.clock.advance(made.settings.retry_interval_seconds)
        assert made.ended(execution_id, engines=(two,)).status is Status.FAILED
        assert [task.only_if_resumable for task in agent.tasks] == [False, True]
        two.stop()


def test_heartbeats_that_name_an_attempt_keep_its_lease(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        attempt_id = agent.tasks[0].attempt_id
        for _ in range(30):
            agent.heartbeat(running=(attempt_id,))
            made.take_in()
            made.pass_time(4.0)
        assert made.attempts(execution_id)[0].verdict is None
        assert made.attempts(execution_id)[0].state.value == "started"
        made.pass_time(made.settings.lease_seconds + made.settings.grace_seconds + 4)
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN


def test_leases_do_not_count_down_while_the_broker_is_away(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        made.broker.interrupt()
        made.take_in()
        made.pass_time(made.settings.verdict_bound_seconds * 3)
        assert made.attempts(execution_id)[0].verdict is None
        made.broker.restore()
        made.take_in()
        made.pass_time(made.settings.lease_seconds - 4)
        assert made.attempts(execution_id)[0].verdict is None
        made.pass_time(made.settings.lease_seconds)
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN


def test_a_pause_of_this_process_gives_every_lease_a_new_term(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        made.clock.advance(3600.0)
        made.engine.turn()
        assert made.attempts(execution_id)[0].verdict is None


def lost(made: Bench, agent: ScriptedAgent) -> tuple[str, OperationTask]:
    """Run one attempt into `may have run`; returns the execution and the task."""
    agent.answer = forgetful
    execution_id = made.start()
    sent(made, agent)
    made.pass_time(made.settings.verdict_bound_seconds + 10 + made.settings.retry_interval_seconds)
    made.ended(execution_id)
    return execution_id, agent.tasks[0]


def test_a_late_success_takes_the_place_of_may_have_run_and_a_resume_does_not_repeat_it(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport)
        execution_id, task = lost(made, agent)
        agent.send(succeeded(task, color="green"))
        made.until(lambda: made.tasks(execution_id)["a"].state is TaskState.SUCCEEDED)
        assert made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED
        assert made.properties() == {"color": "green"}
        agent.answer = succeeded
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert [task.task_id.rpartition(".")[2] for task in agent.tasks] == ["0", "0", "1"]


def resume(made: Bench, execution_id: str) -> None:
    from outrider.dispatcher.store import executions

    with made.database.begin() as connection:
        executions.request_resume(connection, execution_id)
    made.look()


def test_a_late_result_is_only_kept_when_a_newer_attempt_exists(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"))), idempotent=True) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        made.pass_time(made.settings.verdict_bound_seconds + 20)
        made.until(lambda: len(agent.tasks) == 2)
        first, second = agent.tasks
        assert second.previous_attempt_id == first.attempt_id
        assert second.resumed
        agent.send(replace(succeeded(first, value="late")))
        made.until(lambda: made.attempts(execution_id)[0].late_result is not None)
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN
        assert not made.execution(execution_id).ended
        agent.send(succeeded(second))
        assert made.ended(execution_id).status is Status.TERMINATED


@pytest.mark.parametrize("first_is_first", [True, False], ids=["in-order", "the-other-way-round"])
def test_a_late_success_decides_once_its_unanswered_successor_turns_out_never_to_have_started(
    tmp_path: Path, *, first_is_first: bool
) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id, first, second = both_lost(made, agent)
        words = [succeeded(first, color="green"), ended(second, Verdict.NEVER_STARTED)]
        for word in words if first_is_first else reversed(words):
            assert made.tasks(execution_id)["a"].state is TaskState.FAILED
            agent.send(word)
            late = int(word.attempt_id.rpartition(".")[2]) - 1
            made.until(lambda late=late: made.attempts(execution_id)[late].late_result is not None)  # type: ignore[misc]
        assert made.tasks(execution_id)["a"].state is TaskState.SUCCEEDED
        assert made.properties() == {"color": "green"}
        assert [each.verdict for each in made.attempts(execution_id)] == [Verdict.SUCCEEDED, Verdict.NEVER_STARTED]
        agent.answer = succeeded
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert [task.task_id.rpartition(".")[2] for task in agent.tasks] == ["0", "0", "1"]


def test_an_unanswered_successor_that_never_started_leaves_open_what_the_first_did(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id, first, second = both_lost(made, agent)
        agent.send(ended(second, Verdict.NEVER_STARTED))
        made.until(lambda: made.attempts(execution_id)[1].verdict is Verdict.NEVER_STARTED)
        assert made.tasks(execution_id)["a"].state is TaskState.FAILED
        assert undecided(made, execution_id) == [first.task_id]
        agent.answer = forgetful
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.FAILED
        assert agent.tasks[2].only_if_resumable
        assert agent.tasks[2].previous_attempt_id == first.attempt_id


def test_an_attempt_that_was_ended_to_make_room_does_not_fail_the_one_it_made_room_for(tmp_path: Path) -> None:
    def make_room(task: OperationTask) -> OperationResult:
        if task.attempt_number > 3:
            return succeeded(task)
        agent.send(ended(agent.tasks[0], Verdict.CANCELLED))
        return ended(task, Verdict.NEVER_STARTED, error=OperationError("PreviousHasResult", "it has just ended"))

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id, first, second = both_lost(made, agent)
        agent.send(ended(second, Verdict.NEVER_STARTED))
        made.until(lambda: made.attempts(execution_id)[1].verdict is Verdict.NEVER_STARTED)
        with made.database.begin() as connection:
            tasks.decide(connection, first.task_id, {"kind": "retry", "attempt": 2})
        agent.answer = make_room
        resume(made, execution_id)
        made.until(lambda: made.attempts(execution_id)[0].verdict is Verdict.CANCELLED)
        made.pass_time(made.settings.resend_first_seconds + 1)
        assert made.ended(execution_id).status is Status.TERMINATED
        verdicts = [each.verdict for each in made.attempts(execution_id)]
        assert verdicts[2:] == [Verdict.NEVER_STARTED, Verdict.SUCCEEDED]


def both_lost(made: Bench, agent: ScriptedAgent) -> tuple[str, OperationTask, OperationTask]:
    """Run an attempt into `may have run`, and the one that asks whether it is resumable too."""
    execution_id = made.start()
    sent(made, agent)
    for _ in range(120):
        made.pass_time(4.0)
        if made.execution(execution_id).ended:
            break
    assert made.execution(execution_id).status is Status.FAILED
    assert [each.verdict for each in made.attempts(execution_id)] == [Verdict.MAY_HAVE_RUN] * 2
    first, second = agent.tasks
    return execution_id, first, second


def test_the_properties_of_a_late_result_are_dropped_when_the_instance_was_written_since(tmp_path: Path) -> None:
    from outrider.dispatcher.store import instances

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        execution_id, task = lost(made, agent)
        with made.database.begin() as connection:
            instances.patch(
                connection, ("default_tenant", "app"), "node_1", version=None, runtime_properties={"color": "blue"}
            )
        agent.send(succeeded(task, color="green"))
        made.until(lambda: made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED)
        assert made.properties() == {"color": "blue"}


def test_a_result_that_arrives_twice_is_recorded_once(tmp_path: Path) -> None:
    def twice(task: OperationTask) -> OperationResult:
        agent.send(succeeded(task, value=1))
        return succeeded(task, value=2)

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        agent.answer = twice
        execution_id = made.start()
        made.ended(execution_id)
        made.look()
        (attempt,) = made.attempts(execution_id)
        assert attempt.result is not None
        assert attempt.result["value"] == 1


def test_a_loss_that_is_told_after_a_success_changes_nothing(tmp_path: Path) -> None:
    """A power cut in the moment in which the broker had the success and the agent's journal did not."""

    def lose_the_one_before(task: OperationTask) -> OperationResult:
        for before in agent.tasks[:-1]:
            agent.send(
                replace(succeeded(before), verdict=Verdict.RESULT_LOST, error=OperationError("ResultLost", "rebooted"))
            )
        return succeeded(task, value=1, color="green")

    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport)
        agent.answer = lose_the_one_before
        execution_id = made.start()
        assert made.ended(execution_id).status is Status.TERMINATED
        for attempt in made.attempts(execution_id):
            assert (attempt.verdict, (attempt.result or {})["value"]) == (Verdict.SUCCEEDED, 1)
        assert len(agent.tasks) == 2
        assert {each.state for each in made.tasks(execution_id).values()} == {TaskState.SUCCEEDED}
        assert made.properties() == {"color": "green"}


def test_a_result_with_a_wrong_token_or_from_another_agent_is_rejected(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        other = ScriptedAgent(made.transport, "other")
        execution_id = made.start()
        sent(made, agent)
        agent.send(replace(succeeded(agent.tasks[0]), token="guessed"))
        other.send(succeeded(agent.tasks[0]))
        made.until(lambda: made.transport.queue_depth("outrider.results") == 0)
        made.look()
        assert made.attempts(execution_id)[0].verdict is None


def test_logs_and_property_changes_are_recorded_once_in_whatever_order_they_come(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        task = agent.tasks[0]
        line = LogRecord(1, 0.0, "info", "plugin", "hello")
        change = PropertyChange("node_1", {"id": "i-1"}, (), 1, sequence=2)
        for _ in range(2):
            agent.update(task, logs=(line,), properties=(change,))
        made.until(lambda: made.properties() == {"id": "i-1"})
        agent.send(succeeded(task))
        made.ended(execution_id)
        agent.update(task, logs=(line, replace(line, sequence=3, message="bye")), properties=(change,))
        made.until(lambda: "bye" in made.messages(execution_id))
        assert made.messages(execution_id).count("hello") == 1


def test_a_result_makes_later_updates_of_properties_void(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, agent)
        first = agent.tasks[0]
        change = PropertyChange("node_1", {"step": "first"}, (), 1, sequence=1)
        agent.send(replace(succeeded(first), properties=(change,)))
        made.until(lambda: len(agent.tasks) == 2)
        second = agent.tasks[1]
        assert second.context.node is not None
        assert second.context.node.runtime_properties == {"step": "first"}
        agent.send(succeeded(second, step="second"))
        made.ended(execution_id)
        agent.update(first, properties=(change,), logs=(LogRecord(9, 0.0, "info", "x", "marker"),))
        made.until(lambda: "marker" in made.messages(execution_id))
        assert made.properties() == {"step": "second"}


def test_a_dead_letter_is_a_verdict(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        from outrider.messaging import topology

        made.transport.declare(topology.agent_topology("central"))
        made.transport.consume(topology.agent_queue("central"), lambda each: each.reject("no room"), prefetch=1)
        execution_id = made.start()
        made.until(lambda: any(each.verdict for each in made.attempts(execution_id)))
        assert made.attempts(execution_id)[0].verdict is Verdict.NEVER_STARTED


def test_an_operation_that_is_not_recoverable_is_not_tried_again(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        ScriptedAgent(made.transport, answer=lambda task: failed(task, recoverable=False))
        execution = made.ended(made.start())
        assert execution.status is Status.FAILED
        assert "Boom: it broke" in str(execution.error)
        assert len(made.attempts(execution.id)) == 1


def test_a_stop_that_was_not_confirmed_is_never_called_stopped(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        ScriptedAgent(made.transport, answer=lambda task: ended(task, Verdict.NOT_CONFIRMED))
        execution = made.ended(made.start())
        assert execution.status is Status.FAILED
        assert "may still be running" in str(execution.error)


def test_what_a_person_decided_to_retry_runs_whether_it_is_resumable_or_not(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        execution_id, first = lost(made, agent)
        with made.database.begin() as connection:
            tasks.decide(connection, first.task_id, {"kind": "retry", "attempt": 2})
        assert undecided(made, execution_id) == []
        agent.answer = succeeded
        resume(made, execution_id)
        assert made.ended(execution_id).status is Status.TERMINATED
        last = agent.tasks[-1]
        assert (last.attempt_number, last.resumed, last.only_if_resumable) == (3, True, False)
        assert last.previous_attempt_id == first.attempt_id


def test_a_decision_holds_for_what_was_known_when_it_was_made(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        execution_id, first = lost(made, agent)
        with made.database.begin() as connection:
            tasks.decide(connection, first.task_id, {"kind": "retry", "attempt": 2})
        resume(made, execution_id)
        made.until(lambda: len(agent.tasks) == 3)
        made.until(lambda: made.attempts(execution_id)[-1].state.value == "sent")
        made.pass_time(made.settings.verdict_bound_seconds + 10 + made.settings.retry_interval_seconds)
        assert made.ended(execution_id).status is Status.FAILED
        assert [task.only_if_resumable for task in agent.tasks] == [False, True, False, True]
        assert undecided(made, execution_id) == [first.task_id]
