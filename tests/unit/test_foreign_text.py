"""Text from hosts that no store takes: file names that are no UTF-8, NUL; nothing of it may hold up an execution."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from outrider.dispatcher.foreign_text import storable_json
from outrider.dispatcher.store import events
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.events import Event
from outrider.dispatcher.store.executions import Status
from outrider.dispatcher.store.schema import EVENTS
from outrider.messaging.messages import LogRecord, OperationResult, OperationTask, PropertyChange
from tests.support.engines import bench, chain, one_stage, operation
from tests.support.scripted_agent import ScriptedAgent, failed, succeeded

#: The bytes \xff of a file's name as Python shows them, and a NUL.
RUBBISH = "/data/\udcff\0.txt"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (RUBBISH, "/data/��.txt"),
        ("\ud83d alone, \U0001f600 whole, \ude00 alone", "� alone, \U0001f600 whole, � alone"),
        ("\ud83d\ud83d\ude00", "�\U0001f600"),
        ("a backslash before: \\\udcff, and escapes as text: \\u0000 \\udcff", None),
        ("\\\\\0", "\\\\�"),
        ("plain, ü, \n", "plain, ü, \n"),
    ],
)
def test_what_no_store_takes_is_replaced(text: str, stored: str | None) -> None:
    # Only the lone surrogate after the backslash, nothing of the text that looks like an escape.
    expected = text.replace("\udcff", "�") if stored is None else stored
    assert json.loads(storable_json(json.dumps({"text": text}).encode())) == {"text": expected}
    upper = json.dumps(text).replace("\\ud", "\\uD").encode()
    assert json.loads(storable_json(upper)).encode("utf-8")


def test_an_error_with_the_name_of_a_file_that_is_no_utf8_ends_like_any_other(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a", max_retries=0)))) as made:
        ScriptedAgent(made.transport, answer=lambda task: failed(task, f"no such file: {RUBBISH}"))
        ended = made.ended(made.start())
        assert ended.status is Status.FAILED
        assert ended.error is not None
        assert "no such file: /data/��.txt" in ended.error


def test_values_properties_and_log_lines_take_part_of_it_and_others_go_on(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a"), operation("b")))) as made:
        agent = ScriptedAgent(made.transport)

        def answer(task: OperationTask) -> OperationResult:
            agent.update(task, logs=(LogRecord(sequence=1, time=1.0, level="info", message=RUBBISH, logger="ctx"),))
            return succeeded(task, [RUBBISH], path=RUBBISH)

        agent.answer = answer
        execution_id = made.start()
        assert made.ended(execution_id).status is Status.TERMINATED
        assert made.properties()["path"] == "/data/��.txt"
        made.until(lambda: made.messages(execution_id).count("/data/��.txt") == 2)


def test_a_number_that_no_store_takes_is_refused_and_others_go_on(tmp_path: Path) -> None:
    with bench(tmp_path, one_stage(chain(operation("a")))) as made:
        agent = ScriptedAgent(made.transport, answer=lambda _task: None)
        execution_id = made.start()
        made.until(lambda: len(agent.tasks) == 1)
        task, beyond = agent.tasks[0], 2**70
        agent.update(task, logs=(LogRecord(sequence=beyond, time=1.0, level="info", message="m", logger="ctx"),))
        agent.send(replace(succeeded(task, color="red"), properties=(PropertyChange("node_1", {}, (), 1, beyond),)))
        agent.heartbeat(journal_sequence=beyond)
        agent.heartbeat(journal_epoch="e" * 65)
        agent.send(succeeded(task))
        assert made.ended(execution_id).status is Status.TERMINATED


@pytest.mark.parametrize("field", ["level", "event_type"])
def test_a_name_that_a_plugin_gave_is_cut_to_what_every_store_takes(tmp_path: Path, field: str) -> None:
    columns = {"level": EVENTS.c.level, "event_type": EVENTS.c.event_type}
    event = Event(message="m", happened_at=1.0, **{field: "x" * 300})  # type: ignore[arg-type]
    database = Database(str(tmp_path / "store.db"))
    with database.begin() as connection:
        events.append(connection, [event, replace(event, attempt_id="a.1", sequence=1)], now=1.0)
        stored = {getattr(each, field) for each in events.after(connection, 0)}
    database.close()
    assert {len(each) for each in stored} == {getattr(columns[field].type, "length", None)}
