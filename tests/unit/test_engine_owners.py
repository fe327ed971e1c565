"""Several dispatchers on one store: adoption, recovery, a paused one; agents whose journals cannot be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.manager_access import REUSED_SECONDS, ManagerAccess, ManagerAddress
from outrider.dispatcher.store import agents, attempts, deployments, executions, tokens
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.schema import ATTEMPTS, TOKENS
from outrider.dispatcher.workflows.graph import Subgraph, TaskGraph
from outrider.messaging.messages import MANAGER_ACCESS, ControlReply, OperationTask, PropertyChange, Verdict
from tests.support.engines import QUICK, Bench, bench, chain, make_deployment, one_stage, operation, side_by_side
from tests.support.scripted_agent import ScriptedAgent, failed, not_resumable, succeeded
from tests.support.waiting import wait_until


def silent(_task: OperationTask) -> None:
    return None


@pytest.mark.parametrize("limit", [1, -1])
def test_a_subgraph_that_was_to_be_replaced_is_replaced_by_the_next_owner(tmp_path: Path, limit: int) -> None:
    both = [operation(name, subgraph="s") for name in ("a", "b")]
    graph = replace(side_by_side(*both), subgraphs={"s": Subgraph(id="s", instance="node_1", recovery="again")})

    def recover(_name: str, failed_one: Subgraph, _view: object) -> TaskGraph:
        return replace(chain(operation("x", subgraph="s2")), subgraphs={"s2": replace(failed_one, id="s2")})

    with bench(tmp_path, one_stage(graph, recover=recover)) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start(details={"config": {"subgraph_retries": limit}})
        made.until(lambda: len(agent.tasks) == 2)
        agent.send(failed(agent.tasks[0], recoverable=False))
        made.until(lambda: "failed" in {each.state.value for each in made.tasks(execution_id).values()})
        made.kill(made.engine)
        two = made.new_engine("two")
        made.look(two)
        agent.answer = succeeded
        agent.send(succeeded(agent.tasks[1]))
        ended = made.ended(execution_id, engines=(two,))
        assert ended.status is Status.TERMINATED, ended.error
        assert {name: each.state.value for name, each in made.tasks(execution_id).items()} == {
            "a": "superseded",
            "b": "succeeded",
            "x": "succeeded",
        }


def test_a_dead_dispatchers_execution_is_adopted_and_its_open_attempt_is_not_repeated(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        made.until(lambda: made.attempts(execution_id)[0].state.value == "sent")
        made.kill(made.engine)
        two = made.new_engine("two")
        made.look(two)
        assert made.execution(execution_id).owner == "two"
        agent.answer = succeeded
        agent.send(succeeded(agent.tasks[0]))
        assert made.ended(execution_id, engines=(two,)).status is Status.TERMINATED
        assert len(agent.tasks) == 2
        two.stop()


def test_changes_of_properties_reach_two_dispatchers_in_the_wrong_order_and_none_is_lost(tmp_path: Path) -> None:
    first = PropertyChange("node_1", {"id": "i-1", "step": "made"}, (), 1, sequence=2)
    second = PropertyChange("node_1", {"step": "ready"}, (), 1, sequence=4)
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        task = agent.tasks[0]
        # The owner has the first update at hand when the other dispatcher merges the second.
        agent.update(task, properties=(first,))
        wait_until(lambda: len(made.engine.inbox) > 0, describe="the first update")
        two = made.new_engine("two")
        made.engine._consumers.stop()
        agent.update(task, properties=(first, second))
        wait_until(lambda: len(two.inbox) > 0, describe="the second update")
        two.turn()
        assert made.properties() == {"id": "i-1", "step": "ready"}
        made.engine.turn()
        assert made.properties() == {"id": "i-1", "step": "ready"}
        agent.send(replace(succeeded(task), properties=(first, second)))
        wait_until(lambda: len(two.inbox) > 0, describe="the result")
        two.turn()
        made.look()
        assert made.execution(execution_id).status is Status.TERMINATED
        assert made.properties() == {"id": "i-1", "step": "ready"}
        two.stop()


def test_a_paused_dispatcher_that_wakes_up_writes_nothing(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        made.end_lease(made.engine)
        two = made.new_engine("two")
        made.look(two)
        epoch = made.execution(execution_id).owner_epoch
        agent.send(succeeded(agent.tasks[0]))
        # Whichever of the two reads the result, the other one's memory is not what counts.
        made.until(lambda: len(agent.tasks) == 2, engines=(made.engine, two))
        assert made.execution(execution_id).owner_epoch == epoch
        agent.send(succeeded(agent.tasks[1]))
        assert made.ended(execution_id, engines=(made.engine, two)).status is Status.TERMINATED
        assert [each.number for each in made.attempts(execution_id)] == [1, 1]
        two.stop()


def test_a_result_that_another_dispatcher_recorded_wakes_the_owner(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        two = made.new_engine("two")
        agent.answer = succeeded
        agent.send(succeeded(agent.tasks[0], color="red"))
        assert made.ended(execution_id, engines=(made.engine, two)).status is Status.TERMINATED
        assert made.properties() == {"color": "red"}
        two.stop()


def test_what_was_stored_and_not_confirmed_is_published_again_under_the_same_id(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        with made.database.begin() as connection:
            connection.execute(sa.update(ATTEMPTS).values(state="sending"))
        made.kill(made.engine)
        two = made.new_engine("two")
        made.look(two)
        made.until(lambda: len(agent.tasks) == 2, engines=(two,))
        assert agent.tasks[0] == agent.tasks[1]
        agent.send(succeeded(agent.tasks[1]))
        assert made.ended(execution_id, engines=(two,)).status is Status.TERMINATED
        assert len(made.attempts(execution_id)) == 1
        two.stop()


def test_a_message_whose_fate_is_unknown_is_published_again_when_the_broker_is_back(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport)
        made.broker.interrupt()
        execution_id = made.start()
        made.until(lambda: bool(made.attempts(execution_id)))
        made.take_in()
        made.broker.restore()
        made.pass_time(3.0, step=1.0)
        assert made.ended(execution_id).status is Status.TERMINATED
        assert len(made.attempts(execution_id)) == 1
        assert {task.attempt_id for task in agent.tasks} == {made.attempts(execution_id)[0].id}


def heard(made: Bench, agent: ScriptedAgent, **fields: object) -> None:
    agent.heartbeat(**fields)
    made.take_in()


def started(made: Bench, agent: ScriptedAgent) -> str:
    heard(made, agent, journal_sequence=5)
    execution_id = made.start()
    made.until(lambda: len(agent.tasks) == 1)
    assert agent.tasks[0].journal_epoch == "epoch-1"
    return execution_id


def test_a_journal_that_was_lost_gives_open_attempts_their_verdict(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = started(made, agent)
        heard(made, agent, journal_epoch="epoch-2")
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN
        with made.database.read() as connection:
            assert agents.get(connection, "central").fenced is None
        agent.answer = not_resumable
        made.pass_time(made.settings.retry_interval_seconds + 4)
        # It is asked at once, without another event, whether the plugin allows another try.
        made.until(lambda: len(agent.tasks) == 2)
        assert agent.tasks[1].only_if_resumable


def test_a_journal_restored_from_an_old_copy_is_fenced_until_it_begins_a_new_epoch(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = started(made, agent)
        heard(made, agent, journal_sequence=3)
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN
        made.until(lambda: [each.kind.value for each in agent.requests] == ["new_epoch"])
        again = made.start(force=True)
        made.look()
        assert made.attempts(again) == []
        agent.answer = succeeded
        heard(made, agent, journal_epoch="epoch-2", journal_sequence=0)
        assert made.ended(again).status is Status.TERMINATED


def test_who_waits_for_an_agent_that_was_fenced_and_never_comes_back_is_told(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        heard(made, agent, journal_sequence=3)
        again = made.start(force=True)
        made.look()
        made.pass_time(made.settings.start_window_seconds - 4)
        assert not made.execution(again).ended
        made.pass_time(8.0)
        ended = made.ended(again)
        assert ended.status is Status.FAILED
        assert "the journal of agent 'central' cannot be trusted" in str(ended.error)
        assert made.attempts(again) == []


def test_who_has_long_waited_for_room_is_not_refused_as_soon_as_the_agent_is_fenced(tmp_path: Path) -> None:
    settings = replace(QUICK, max_open_per_agent=1, start_window_seconds=20.0)
    with bench(tmp_path, one_stage(chain(operation("a"))), settings=settings) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        again = made.start(force=True)
        made.look()
        for number in range(15):
            made.clock.advance(2.0)
            agent.heartbeat(running=(agent.tasks[0].attempt_id,), journal_sequence=6 + number)
            made.take_in()
        heard(made, agent, journal_sequence=3)
        made.look()
        assert not made.execution(again).ended


def test_what_an_agent_writes_to_a_restored_journal_does_not_hide_that_it_is_one(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = started(made, agent)
        heard(made, agent, journal_sequence=6, running=(agent.tasks[0].attempt_id,))
        heard(made, agent, journal_sequence=8, journal_opened=5, process_id="process-2")
        assert made.attempts(execution_id)[0].verdict is Verdict.MAY_HAVE_RUN
        with made.database.read() as connection:
            assert "went back from 6 to 5" in str(agents.get(connection, "central").fenced)


def test_an_agent_that_opens_its_own_journal_again_is_trusted(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        execution_id = started(made, agent)
        mine = (agent.tasks[0].attempt_id,)
        heard(made, agent, journal_sequence=6, running=mine)
        heard(made, agent, journal_sequence=8, journal_opened=6, process_id="process-2", running=mine)
        heard(made, agent, journal_sequence=9, journal_opened=6, process_id="process-2", running=mine)
        assert made.attempts(execution_id)[0].verdict is None
        with made.database.read() as connection:
            assert agents.get(connection, "central").fenced is None


def test_two_agents_under_one_id_are_noticed(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        heard(made, agent, process_id="process-2", journal_sequence=6)
        heard(made, agent, process_id="process-1", journal_sequence=7)
        with made.database.read() as connection:
            assert "two agents run under the id" in str(agents.get(connection, "central").fenced)


def test_the_last_heartbeat_of_a_process_that_ended_is_not_a_second_agent(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        before = agent.clock
        heard(made, agent, process_id="process-2", journal_sequence=6)
        # Another dispatcher had taken it from the queue, and died: the broker delivers it again, after newer ones.
        heard(made, agent, clock_seconds=before + 1)
        with made.database.read() as connection:
            assert agents.get(connection, "central").fenced is None


def test_when_one_of_two_agents_is_stopped_the_other_is_asked_for_a_new_journal_and_trusted(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        heard(made, agent, process_id="process-2", journal_sequence=6)
        heard(made, agent, process_id="process-1", journal_sequence=7)
        heard(made, agent, process_id="process-1", journal_sequence=8)
        made.until(lambda: len(agent.requests) == 2)
        # Each names the epoch that has to end, so that being asked twice does not end two.
        assert {each.payload["journal_epoch"] for each in agent.requests} == {"epoch-1"}
        heard(made, agent, process_id="process-1", journal_epoch="epoch-2", journal_sequence=0)
        with made.database.read() as connection:
            assert agents.get(connection, "central").fenced is None


def test_a_copied_disk_is_noticed(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        started(made, agent)
        heard(made, agent, machine_id="machine-2", process_id="process-2", journal_sequence=6)
        with made.database.read() as connection:
            assert "copied disk" in str(agents.get(connection, "central").fenced)


def test_secrets_are_redeemed_only_for_an_open_attempt_with_its_token(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"))), inputs={"key": {"get_secret": "password"}}) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        made.start()
        made.until(lambda: len(agent.tasks) == 1)
        task = agent.tasks[0]
        assert task.inputs == {"key": {"$secret": "password"}}
        assert task.secrets == ("password",)
        agent.redeem(task, ["password"])
        made.until(lambda: len(agent.replies) == 1)
        assert agent.replies[0].payload == {"secrets": {"password": "value of password"}}
        agent.redeem(task, ["password"], token="guessed")
        made.until(lambda: len(agent.replies) == 2)
        assert not agent.replies[1].ok
        agent.send(succeeded(task))
        made.ended(task.execution_id)
        agent.redeem(task, ["password"])
        made.until(lambda: len(agent.replies) == 3)
        assert not agent.replies[2].ok


def test_the_way_to_the_manager_is_told_by_a_managers_dispatcher_and_to_open_attempts_only(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        made.start()
        made.until(lambda: len(agent.tasks) == 1)
        task, engines = agent.tasks[0], [made.engine]

        def told(token: str | None = None) -> ControlReply:
            count = len(agent.replies)
            agent.redeem(task, [MANAGER_ACCESS], token=token)
            made.until(lambda: len(agent.replies) > count, engines=engines)
            return agent.replies[-1]

        assert told().payload == {"secrets": {}}, "a dispatcher that is alone knows that there is no manager"
        engines.append(made.new_engine("two"))
        made.look(engines[-1])
        assert told().payload == {"again": True}, "another one may be a manager's"
        address = ManagerAddress(protocol="https", host="manager", port=443, ca_pem="PEM")
        engines.append(made.new_engine("managing", manager=address))

        def granted() -> Mapping[str, Any]:
            wait_until(lambda: "secrets" in told().payload, describe="an answer of the manager's dispatcher")
            found: Mapping[str, Any] = agent.replies[-1].payload["secrets"][MANAGER_ACCESS]
            return found

        access = granted()
        assert (access["protocol"], access["host"], access["port"], access["ca_pem"]) == (
            "https",
            "manager",
            443,
            "PEM",
        )
        with made.database.read() as connection:
            token = tokens.find(connection, access["token"])
        assert token is not None
        assert (token.execution_id, token.expires_at is not None) == (task.execution_id, True)
        assert token.for_starter, "what runs on the central agent stands for who started it"
        assert granted()["token"] == access["token"], "one for all operations of an execution"
        with made.database.begin() as connection:
            connection.execute(sa.update(TOKENS).values(expires_at=made.database.now(connection) + REUSED_SECONDS - 1))
            # The same execution's operation on a host: a token of its own, which does not stand for the starter.
            grants = ManagerAccess(address, central_agent="central")
            (attempt,) = attempts.by_ids(connection, [task.attempt_id]).values()
            texts = [
                grants.grant(connection, each, now=made.database.now(connection))["token"]
                for each in (attempt, replace(attempt, agent_id="web-1"), attempt)
            ]
            assert texts[0] == texts[2] != texts[1]
            found = [tokens.find(connection, each) for each in texts]
            assert [each is not None and each.for_starter for each in found] == [True, False, True]
        renewed = granted()
        assert renewed["token"] != access["token"], "its time would be over soon"
        assert not told("guessed").ok
        agent.send(succeeded(task))
        made.ended(task.execution_id, engines=engines)
        assert not told().ok
        with made.database.read() as connection:
            assert [tokens.find(connection, each["token"]) for each in (access, renewed)] == [None, None]
        for each in engines[1:]:
            each.stop()


def test_a_deployment_that_is_deleted_under_a_running_execution_holds_up_no_other(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=silent)
        gone = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        with made.database.begin() as connection:
            deployments.delete(connection, ("default_tenant", "app"), force=True)
            assert attempts.by_ids(connection, [agent.tasks[0].attempt_id]) == {}, "no trace is left"
        agent.update(agent.tasks[0])
        made.take_in()
        agent.send(succeeded(agent.tasks[0]))
        made.take_in()
        make_deployment(made.database)
        agent.answer = succeeded
        assert made.ended(made.start()).status is Status.TERMINATED
        with made.database.read() as connection, pytest.raises(NotFound):
            executions.get(connection, gone)
