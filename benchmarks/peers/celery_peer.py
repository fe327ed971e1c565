"""Starts a Celery worker on a broker and measures round trips and throughput."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_LIMIT_SECONDS = 60.0
RESULT_LIMIT_SECONDS = 60.0


class CeleryPeer:
    """A running worker; `round_trips` and `throughput` send tasks from this process."""

    def __init__(self, broker_url: str) -> None:
        os.environ["PEER_BROKER_URL"] = broker_url
        # Imported late: the module reads the broker's address when it is loaded.
        from benchmarks.peers.celery_app import app, nothing

        self.app = app
        self.task: Any = nothing

    def round_trips(self, count: int) -> list[float]:
        """Send one task at a time; return the seconds of each."""
        durations = []
        for number in range(count):
            began = time.perf_counter()
            self.task.delay(number).get(timeout=RESULT_LIMIT_SECONDS)
            durations.append(time.perf_counter() - began)
        return durations

    def throughput(self, count: int) -> float:
        """Send all tasks, wait for all results; return tasks per second."""
        began = time.perf_counter()
        results = [self.task.delay(number) for number in range(count)]
        for result in results:
            result.get(timeout=RESULT_LIMIT_SECONDS)
        return count / (time.perf_counter() - began)


@contextmanager
def celery_peer(broker_url: str, *, log: Path) -> Iterator[CeleryPeer]:
    """Run a worker for the time of the block."""
    environment = {**os.environ, "PEER_BROKER_URL": broker_url}
    command = [sys.executable, "-m", "celery", "--app", "benchmarks.peers.celery_app", "worker"]
    options = ["--pool=prefork", "--concurrency=2", "--loglevel=WARNING", "--without-gossip", "--without-mingle"]
    with log.open("wb") as output:
        worker = subprocess.Popen([*command, *options], env=environment, stdout=output, stderr=output)
        try:
            peer = CeleryPeer(broker_url)
            deadline = time.monotonic() + START_LIMIT_SECONDS
            while not peer.app.control.ping(timeout=0.5):
                if time.monotonic() > deadline or worker.poll() is not None:
                    raise RuntimeError(f"the Celery worker did not start: {log.read_text(errors='replace')[-2000:]}")
            yield peer
        finally:
            worker.terminate()
            try:
                worker.wait(timeout=20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
