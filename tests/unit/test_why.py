"""`outrider execution why`: each kind of waiting is named, with what it waits for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outrider.dispatcher import why
from outrider.dispatcher.store import executions, tasks
from outrider.dispatcher.store.executions import Status
from outrider.messaging.messages import OperationTask, Verdict
from tests.support.engines import Bench, bench, chain, one_stage, operation, side_by_side
from tests.support.scripted_agent import ScriptedAgent, ended, failed, succeeded


def silent(_task: OperationTask) -> None:
    return None


def reasons(made: Bench, execution_id: str) -> dict[str, str]:
    """What each task (or ``execution``) waits for, by its name."""
    names = {each.id: name for name, each in made.tasks(execution_id).items()}
    with made.database.read() as connection:
        found = why.why(connection, execution_id, made.settings, now=made.database.now(connection))
    return {names.get(each.subject, each.subject): each.waits_for for each in found}


def shows(made: Bench, execution_id: str, name: str, pattern: str) -> bool:
    return re.search(pattern, reasons(made, execution_id).get(name, "")) is not None


def test_an_operation_waits_for_others_and_for_an_agent_that_was_never_heard_of(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        made.until(
            lambda: shows(made, execution_id, "a", r"'central', which was never heard of; a verdict comes in \d+ s")
        )
        assert reasons(made, execution_id)["b"] == "test.do of 'node_1'"


@pytest.mark.parametrize(
    ("heartbeat", "pattern"),
    [
        ({"doing": "installing plugin app 1.0"}, r"last seen \d+ s ago\): installing plugin app 1\.0"),
        ({"state": "draining"}, r"last seen \d+ s ago\), which is draining: 0 attempts are ahead of it"),
        ({"state": "disk-full"}, "which is disk-full"),
    ],
)
def test_an_agent_says_what_it_does(tmp_path: Path, heartbeat: dict[str, str], pattern: str) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        doing = {agent.tasks[0].attempt_id: heartbeat["doing"]} if "doing" in heartbeat else {}
        agent.heartbeat(accepted=(agent.tasks[0].attempt_id,), doing=doing, state=heartbeat.get("state", "running"))
        made.until(lambda: shows(made, execution_id, "a", pattern))


def test_the_place_in_an_agents_queue(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(side_by_side(*(operation(name) for name in "abc")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 3)
        agent.heartbeat()
        made.until(lambda: "last seen" in reasons(made, execution_id)["a"])
        assert all(re.search(r"\d attempts are ahead of it", text) for text in reasons(made, execution_id).values())


def test_a_retry_says_when_and_why(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a", retry_interval_seconds=30.0)))) as made:
        ScriptedAgent(made.transport, answer=lambda task: failed(task, "the door is shut"))
        execution_id = made.start()
        made.until(lambda: shows(made, execution_id, "a", r"its next attempt, due in \d+ s: .*the door is shut"))


def test_a_held_deployment_and_a_time_to_come(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        holder = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        queued = made.start(queue=True)
        assert made.execution(queued).status is Status.QUEUED
        assert f"its deployment 'app', which is held by execution {holder}" in reasons(made, queued)["execution"]
        later = made.start(scheduled_for=4e9)
        assert "it is scheduled to start in" in reasons(made, later)["execution"]


def test_an_operation_that_may_have_run_waits_for_a_person(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a", max_retries=0)))) as made:
        ScriptedAgent(made.transport, answer=lambda task: ended(task, Verdict.RESULT_LOST))
        execution_id = made.start()
        made.until(lambda: shows(made, execution_id, "a", r"a decision \(retry, done, skip\)"))


def test_a_dead_dispatcher_is_told(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        made.end_lease(made.engine)
        assert "adoption: its dispatcher one was last heard of" in reasons(made, execution_id)["execution"]


def test_where_a_failed_execution_goes_on_and_what_was_decided_about_it(tmp_path: Path) -> None:
    workflow = one_stage(
        side_by_side(*(operation(name, kwargs={"name": name}, max_retries=0) for name in ("a", "b", "c", "fine")))
    )
    with bench(tmp_path, workflow) as made:
        agent = ScriptedAgent(made.transport)
        agent.answer = lambda task: succeeded(task) if task.inputs["name"] == "fine" else failed(task, "no room")
        execution_id = made.start()
        assert made.ended(execution_id).status is Status.FAILED
        waits = reasons(made, execution_id)
        assert set(waits) == {"a", "b", "c"}
        assert all("a resume, which tries it again unless you decide" in each for each in waits.values())
        assert all("no room" in each for each in waits.values())

        rows = made.tasks(execution_id)
        with made.database.begin() as connection:
            tasks.decide(connection, rows["a"].id, {"kind": "retry", "inputs": {"name": "fine"}, "attempt": 1})
            tasks.decide(connection, rows["b"].id, {"kind": "done", "attempt": 1})
            tasks.decide(connection, rows["c"].id, {"kind": "skip", "attempt": 1})
        waits = reasons(made, execution_id)
        assert "a resume, which tries it again with the inputs given: " in waits["a"]
        assert "a resume, which takes it as done: " in waits["b"]
        assert "a resume, which skips it: " in waits["c"]

        with made.database.begin() as connection:
            executions.request_resume(connection, execution_id)
        made.look()
        assert made.ended(execution_id).status is Status.TERMINATED
        assert reasons(made, execution_id) == {}
