"""The engine runs graphs: order, retries, failures, evidence."""

from __future__ import annotations

from pathlib import Path

from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.tasks import TaskState
from outrider.messaging.messages import OperationTask, Verdict
from tests.support.engines import bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded


def test_a_chain_runs_in_order_and_succeeds(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b"), operation("c")))) as made:
        agent = ScriptedAgent(made.transport)
        execution = made.ended(made.start())
        assert execution.status is Status.TERMINATED, execution.error
        assert [task.task_id.rsplit(".")[-1] for task in agent.tasks] == ["0", "1", "2"]
        assert {row.state for row in made.tasks(execution.id).values()} == {TaskState.SUCCEEDED}
        assert execution.finished_operations == execution.total_operations == 3


def test_a_recoverable_failure_is_tried_again_under_a_new_attempt_that_names_the_old_one(tmp_path: Path) -> None:
    def second_time_lucky(task: OperationTask):  # type: ignore[no-untyped-def]
        return failed(task) if task.attempt_number == 1 else succeeded(task)

    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=second_time_lucky)
        execution_id = made.start()
        made.until(
            lambda: (
                made.tasks(execution_id).get("a") is not None
                and made.tasks(execution_id)["a"].state is TaskState.RESCHEDULED
            )
        )
        made.clock.advance(made.settings.retry_interval_seconds)
        assert made.ended(execution_id).status is Status.TERMINATED
        first, second = agent.tasks
        assert second.previous_attempt_id == first.attempt_id
        assert second.context.retry_number == 1
        assert [each.verdict for each in made.attempts(execution_id)] == [Verdict.FAILED, Verdict.SUCCEEDED]
