"""Pages of many clients at once are made in processes of their own, which may die at any time."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from outrider.dispatcher.store import deployments
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.manager_stub.access import Caller, Right
from outrider.manager_stub.listing import ListCall
from outrider.manager_stub.reading import PageJob, PageProcesses, make_page
from outrider.manager_stub.reading.frames import Frames, framed
from tests.support.managers import manager_here
from tests.support.waiting import wait_until

ANN = Caller(user="ann", right=Right.READ, tenant="default_tenant", tenants=("default_tenant",))
JOB = PageJob(kind="deployment", caller=ANN, listing=ListCall(size=10, sort=("id",)))


def add(database: Database, name: str) -> None:
    with database.begin() as connection:
        deployments.insert(connection, Deployment(id=name, blueprint_id="b"), nodes=[], node_instances=[], now=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "store.db"))
    add(opened, "app")
    yield opened
    opened.close()


async def until(met: Callable[[], Awaitable[bool] | bool], what: str) -> None:
    async with asyncio.timeout(120):
        while True:
            found = met()
            if found is True or (not isinstance(found, bool) and await found):
                return
            await asyncio.sleep(0.01)
    raise AssertionError(what)


def alone(pool: PageProcesses, job: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a loop of its own, and see that no process is left."""

    async def run() -> None:
        try:
            await job()
        finally:
            pids = pool.pids
            await asyncio.to_thread(pool.close)
            assert not any(psutil.pid_exists(pid) for pid in pids)

    asyncio.run(run())


def children() -> set[int]:
    """Return this process's children; servers that other tests share are among them."""
    return {child.pid for child in psutil.Process().children()}


async def made(pool: PageProcesses, job: PageJob = JOB) -> bytes | None:
    with pool.counted():
        return await pool.make(job)


def test_a_page_is_the_same_wherever_it_is_made_and_shows_what_was_stored_before(database: Database) -> None:
    pool = PageProcesses(database.url, most=1, busy=1)

    async def job() -> None:
        assert await made(pool) is None, "nobody waits for a process to start"
        await until(lambda: bool(pool.pids), "a process")
        assert await made(pool) == make_page(JOB, database)
        add(database, "app-2")
        page = orjson.loads(await made(pool) or b"")
        assert [each["id"] for each in page["items"]] == ["app", "app-2"]
        wrong = PageJob(kind="deployment", caller=ANN, listing=ListCall(sort=("nothing",)))
        assert await made(pool, wrong) is None, "the manager makes it itself, and has the error"
        assert await made(pool) is not None

    alone(pool, job)


def test_a_process_that_is_killed_costs_no_answer_and_is_replaced(database: Database) -> None:
    pool = PageProcesses(database.url, most=1, busy=1, gap=0.0)

    async def job() -> None:
        await made(pool)
        await until(lambda: bool(pool.pids), "a process")
        (killed,) = pool.pids
        os.kill(killed, signal.SIGSTOP)  # it has jobs, and does not answer them
        asked = [asyncio.create_task(made(pool)) for _ in range(5)]
        await asyncio.sleep(0)
        os.kill(killed, signal.SIGKILL)
        assert await asyncio.gather(*asked) == [None] * 5

        async def replaced() -> bool:
            return await made(pool) is not None

        await until(replaced, "another process")
        assert killed not in pool.pids

    alone(pool, job)


def test_a_process_that_is_stuck_is_given_up_and_ended(database: Database) -> None:
    pool = PageProcesses(database.url, most=1, busy=1, patience=0.5)

    async def job() -> None:
        await made(pool)
        await until(lambda: bool(pool.pids), "a process")
        (stuck,) = pool.pids
        os.kill(stuck, signal.SIGSTOP)
        assert await asyncio.gather(*(made(pool) for _ in range(5))) == [None] * 5
        await until(lambda: not psutil.pid_exists(stuck), "its end")

    alone(pool, job)


def test_modules_in_the_folder_of_the_start_are_left_alone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong queue')")
    monkeypatch.chdir(tmp_path)
    pool = PageProcesses(database.url, most=1, busy=1)

    async def job() -> None:
        await made(pool)
        await until(lambda: bool(pool.pids), "a process")
        assert await made(pool) is not None

    alone(pool, job)


def test_processes_are_started_for_many_only_and_end_when_nothing_is_asked(database: Database) -> None:
    pool = PageProcesses(database.url, most=2, busy=2, gap=0.0, idle=0.2)
    before = children()

    async def job() -> None:
        await made(pool)
        assert children() == before, "one client alone needs none"
        with pool.counted():
            await made(pool)
            await until(lambda: bool(pool.pids), "a process")
            pid = pool.pids[0]
        await until(lambda: not psutil.pid_exists(pid), "the end of a process without work")

    alone(pool, job)


def test_where_no_process_can_be_started_the_manager_makes_the_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise BlockingIOError("no more processes for this account")

    monkeypatch.setattr("outrider.manager_stub.reading.pool.subprocess.Popen", refused)
    pool = PageProcesses(database.url, most=2, busy=1)

    async def job() -> None:
        assert await made(pool) is None
        assert pool.pids == []

    alone(pool, job)


def test_without_processes_nothing_is_started(database: Database) -> None:
    pool = PageProcesses(database.url, most=0, busy=0)
    before = children()

    async def job() -> None:
        assert await made(pool) is None
        assert children() == before

    alone(pool, job)


def test_many_clients_get_their_own_answers_and_the_process_ends_with_the_server(tmp_path: Path) -> None:
    with manager_here(tmp_path, page_processes=2) as (running, manager):
        add(manager.database, "app")

        def ask(number: int) -> int:
            answer = running.call("GET", f"/deployments?_size={number + 1}")
            assert [each["id"] for each in answer.json()["items"]] == ["app"]
            return int(answer.json()["metadata"]["pagination"]["size"])

        with ThreadPoolExecutor(8) as clients:

            def served() -> list[int]:
                assert list(clients.map(ask, range(40))) == [number + 1 for number in range(40)]
                return manager.page_processes.pids

            pids = wait_until(served, 120, "page processes")
        wrong = running.call("GET", "/deployments?_sort=nothing")
        assert (wrong.status_code, wrong.json()["error_code"]) == (400, "bad_parameters_error")
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_frames_are_whole_however_they_arrive() -> None:
    sent = framed(b"one") + framed(b"") + framed(b"three")
    frames = Frames()
    assert [found for at in range(len(sent)) for found in frames.feed(sent[at : at + 1])] == [b"one", b"", b"three"]
    assert list(Frames().feed(sent)) == [b"one", b"", b"three"]


def test_what_is_remembered_of_a_list_call_is_the_callers_own(database: Database) -> None:
    def ids(caller: Caller, **listing: Any) -> list[str]:
        page = orjson.loads(make_page(PageJob(kind="deployment", caller=caller, listing=ListCall(**listing)), database))
        return [each["id"] for each in page["items"]]

    bob = Caller(user="bob", right=Right.READ, tenant="north", tenants=("north", "default_tenant"))
    for _ in range(2):
        assert ids(ANN) == ["app"]
        assert ids(bob) == []
        assert ids(bob, all_tenants=True) == ["app"]
        assert ids(ANN, search="other") == []
        assert ids(ANN, filters={"id": ("other",)}) == []
        assert ids(ANN, size=1, offset=1) == []
