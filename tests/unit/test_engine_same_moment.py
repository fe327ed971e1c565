"""Several things that happen at once: what comes in one turn, what fails one, and what is left of it afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from outrider.dispatcher.attempts import outgoing
from outrider.dispatcher.store import attempts, executions
from outrider.dispatcher.store.executions import Cancel, Status
from outrider.dispatcher.store.schema import ATTEMPTS
from outrider.dispatcher.workflows.graph import Stage, StagePlan, Subgraph, TaskGraph, Workflow
from outrider.messaging.messages import OperationTask, Verdict
from tests.support.engines import QUICK, Bench, bench, chain, one_stage, operation, side_by_side
from tests.support.scripted_agent import ScriptedAgent, ended, failed, not_resumable, succeeded
from tests.support.waiting import wait_until


def silent(_task: OperationTask) -> None:
    return None


def arrived(made: Bench, count: int = 1) -> None:
    """Wait for so many messages, which the next turn takes together."""
    wait_until(lambda: len(made.engine.inbox) >= count, describe="messages in the engine's inbox")


def wish(made: Bench, execution_id: str, kind: Cancel) -> None:
    with made.database.begin() as connection:
        executions.request_cancel(connection, execution_id, kind, now=0.0)


def sent(made: Bench, execution_id: str, count: int = 1) -> None:
    """Make turns until so many attempts are known to be with the broker."""
    made.until(lambda: [each.state.value for each in made.attempts(execution_id)] == ["sent"] * count)


def test_a_result_in_the_turn_of_a_forced_cancel_is_not_lost(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, execution_id)
        agent.send(succeeded(agent.tasks[0], color="green"))
        arrived(made)
        wish(made, execution_id, Cancel.FORCE)
        made.look()
        assert made.execution(execution_id).status is Status.CANCELLED
        assert made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED
        assert made.tasks(execution_id)["a"].state.value == "succeeded"


def test_a_result_in_the_turn_in_which_its_agents_new_journal_is_heard_of_is_not_lost(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        agent.heartbeat()
        made.take_in()
        execution_id = made.start()
        sent(made, execution_id)
        agent.send(succeeded(agent.tasks[0]))
        agent.heartbeat(journal_epoch="epoch-2")
        arrived(made, 2)
        made.engine.turn()
        assert made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED
        assert made.ended(execution_id).status is Status.TERMINATED


def test_a_refusal_in_the_turn_of_a_forced_cancel_says_that_it_never_started(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, execution_id)
        agent.send(not_resumable(agent.tasks[0]))
        arrived(made)
        wish(made, execution_id, Cancel.FORCE)
        made.look()
        assert made.attempts(execution_id)[0].verdict is Verdict.NEVER_STARTED


def test_the_patience_with_a_failed_stage_ends_with_it(tmp_path: Path) -> None:
    work = Stage(name="work", plan=lambda _view: StagePlan(graph=chain(operation("a"))))
    undo = Stage(name="undo", plan=lambda _view: StagePlan(graph=chain(operation("u"))), on_failure=True)
    with bench(tmp_path, Workflow(name="test", stages=(work, undo))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start(wait_after_fail_seconds=30.0)
        made.until(lambda: len(agent.tasks) == 1)
        agent.send(failed(agent.tasks[0], recoverable=False))
        made.until(lambda: len(agent.tasks) == 2)
        made.pass_time(40.0)
        assert not made.execution(execution_id).ended, "what undoes the failed stage takes its time"
        agent.send(succeeded(agent.tasks[1]))
        assert made.ended(execution_id).status is Status.FAILED
        assert [each.verdict for each in made.attempts(execution_id)] == [Verdict.FAILED, Verdict.SUCCEEDED]


@pytest.mark.parametrize("first", [Verdict.NOT_CONFIRMED, Verdict.RESULT_LOST])
def test_the_bound_of_a_cancel_is_moved_neither_by_a_failure_nor_by_a_late_success(
    tmp_path: Path, first: Verdict
) -> None:
    graph = side_by_side(operation("a", max_retries=0), operation("b"))
    with bench(tmp_path, one_stage(graph)) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, execution_id, 2)
        (task,) = (each for each in agent.tasks if each.task_id.endswith(".0"))
        before_the_cancel = first is Verdict.RESULT_LOST
        if before_the_cancel:
            agent.send(ended(task, first))
            made.until(lambda: made.tasks(execution_id)["a"].state.value == "failed")
        wish(made, execution_id, Cancel.NORMAL)
        made.look()
        if before_the_cancel:
            agent.send(succeeded(task))
            made.until(lambda: made.tasks(execution_id)["a"].state.value == "succeeded")
        else:
            agent.send(ended(task, first))
            made.until(lambda: made.tasks(execution_id)["a"].state.value == "failed")
        assert not made.execution(execution_id).ended
        made.pass_time(made.settings.cancel_bound_seconds + 1)
        assert made.execution(execution_id).status is Status.CANCELLED


def test_nothing_is_kept_of_an_attempt_that_ended_before_it_was_to_be_published_again(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        with made.database.begin() as connection:
            connection.execute(sa.update(ATTEMPTS).values(state="sending"))
        made.kill(made.engine)
        made.engine = two = made.new_engine("two")
        # The broker is away when the execution is taken up; its result was here before.
        agent.send(succeeded(agent.tasks[0]))
        arrived(made)
        made.broker.interrupt()
        made.look()
        made.take_in()
        made.broker.restore()
        made.pass_time(3.0, step=1.0)
        made.until(lambda: len(agent.tasks) == 2)
        agent.send(succeeded(agent.tasks[1]))
        assert made.ended(execution_id).status is Status.TERMINATED
        made.until(lambda: len(two._outbox) == 0)


def test_who_waits_for_an_agents_room_gets_that_of_an_execution_that_was_deleted(tmp_path: Path) -> None:
    settings = replace(QUICK, max_open_per_agent=1)
    with bench(tmp_path, one_stage(chain(operation("a"))), settings=settings) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        first = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        second = made.start(force=True)
        made.look()
        assert made.attempts(second) == []
        with made.database.begin() as connection:
            executions.delete(connection, [first])
        agent.send(succeeded(agent.tasks[0]))
        agent.update(agent.tasks[0])
        made.pass_time(made.settings.verdict_bound_seconds + 4)
        made.until(lambda: len(agent.tasks) == 2)


def test_results_in_a_turn_that_fails_come_again_and_only_the_execution_at_fault_is_given_up(tmp_path: Path) -> None:
    def defective(_name: str, _failed_one: Subgraph, _view: object) -> TaskGraph:
        raise RuntimeError("a defect")

    subgraph = Subgraph(id="s", instance="node_1", recovery="again")
    hostile = one_stage(
        replace(chain(operation("a", subgraph="s")), subgraphs={"s": subgraph}),
        recover=defective,
    )
    good_plan = one_stage(chain(operation("a"), operation("b")))
    with bench(tmp_path, hostile) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        broken = made.start(details={"config": {"subgraph_retries": 1}})
        sent(made, broken)
        made.planner = lambda execution, _view: hostile if execution.id == broken else good_plan
        good = made.start(force=True)
        sent(made, good)
        agent.answer = succeeded
        agent.send(failed(agent.tasks[0], recoverable=False))
        agent.send(succeeded(agent.tasks[1]))
        arrived(made, 2)
        for _ in range(1000):
            made.clock.advance(0.1)
            made.engine.guarded_turn(wait_seconds=0.01)
            if made.execution(broken).ended and made.execution(good).ended:
                break
        assert made.execution(good).status is Status.TERMINATED
        assert [each.verdict for each in made.attempts(good)] == [Verdict.SUCCEEDED] * 2
        assert "a defect of Outrider stopped this execution" in str(made.execution(broken).error)
        made.until(lambda: made.attempts(broken)[0].verdict is Verdict.FAILED)


def test_two_executions_of_one_deployment_lose_none_of_each_others_properties(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        first = made.start()
        sent(made, first)
        second = made.start(force=True)
        sent(made, second)
        for task, name in zip(agent.tasks, ("one", "two"), strict=True):
            agent.send(succeeded(task, **{name: "here"}))
        arrived(made, 2)
        made.engine.turn()
        assert made.properties() == {"one": "here", "two": "here"}


def test_an_agent_whose_clock_has_parted_from_ours_keeps_its_leases(tmp_path: Path) -> None:
    settings = replace(QUICK, start_window_seconds=30.0, lease_seconds=60.0)
    with bench(tmp_path, one_stage(chain(operation("a"))), settings=settings) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, execution_id)
        for _ in range(50):
            # Its clock goes on by five seconds with each heartbeat: after months, or after its machine stood still.
            made.clock.advance(8.0)
            agent.heartbeat(running=(agent.tasks[0].attempt_id,))
            made.take_in()
            made.engine.turn()
        assert made.attempts(execution_id)[0].verdict is None


def test_a_returned_copy_says_nothing_of_an_operation_that_its_agent_runs(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        sent(made, execution_id)
        agent.heartbeat(running=(agent.tasks[0].attempt_id,))
        made.take_in()
        agent.stop()
        with made.database.read() as connection:
            bodies = attempts.bodies(connection, [agent.tasks[0].attempt_id])
        (message,) = (outgoing(made.settings, agent.id, *each) for each in bodies.items())
        # As a dispatcher publishes it again that does not know whether the one before it had; it expires in the queue.
        made.transport.publish(replace(message, expires_seconds=0.001))
        made.take_in()
        assert made.attempts(execution_id)[0].verdict is None
        agent.send(succeeded(agent.tasks[0]))
        assert made.ended(execution_id).status is Status.TERMINATED
        assert len(made.attempts(execution_id)) == 1


def test_an_execution_with_a_long_queue_of_its_own_leaves_others_their_share(tmp_path: Path) -> None:
    settings = replace(QUICK, batch_size=2)
    long = one_stage(side_by_side(*(operation(f"t{number}") for number in range(20))))
    with bench(tmp_path, long, settings=settings) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        first = made.start()
        made.look()
        made.planner = lambda execution, _view: long if execution.id == first else one_stage(chain(operation("a")))
        second = made.start(force=True)
        made.look()
        made.look()
        assert len(made.attempts(second)) == 1
        assert len(agent.tasks) < 20


def test_a_secret_at_which_the_dispatcher_fails_is_an_answer_and_stops_nothing(tmp_path: Path) -> None:
    def broken(_tenant: str, _listed: object, _names: object) -> dict[str, str]:
        raise OSError("no such file: secrets.key")

    with bench(tmp_path, one_stage(chain(operation("a"))), inputs={"key": {"get_secret": "password"}}) as made:
        made.engine._redeem = broken
        agent = ScriptedAgent(made.transport, answer=silent)
        made.start()
        made.until(lambda: len(agent.tasks) == 1)
        agent.redeem(agent.tasks[0], ["password"])
        made.until(lambda: len(agent.replies) == 1)
        assert agent.replies[0].error == "the dispatcher failed at it: OSError: no such file: secrets.key"


def test_a_late_success_that_comes_before_the_owner_acts_on_the_verdict_decides(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a", max_retries=0)))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        agent.heartbeat()
        made.take_in()
        execution_id = made.start()
        sent(made, execution_id)
        # From here on the other dispatcher hears everything, and the owner looks into the store.
        made.engine._consumers.stop()
        two = made.new_engine("two")
        agent.heartbeat(journal_epoch="epoch-2")
        made.until(lambda: made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN, engines=(two,))
        agent.send(succeeded(agent.tasks[0], color="green"))
        made.until(lambda: made.attempts(execution_id)[0].late_result is not None, engines=(two,))
        made.look()
        assert made.ended(execution_id).status is Status.TERMINATED
        assert made.attempts(execution_id)[0].verdict is Verdict.SUCCEEDED
        assert made.properties() == {"color": "green"}
        assert any(
            "the dispatcher that runs the execution decides with it" in each for each in made.messages(execution_id)
        )
        two.stop()
