"""Agents and dispatchers of different releases work together: neither has to be upgraded first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import releases
from tests.support.ledger import Ledger
from tests.support.processes import ServiceProcess
from tests.support.rabbitmq import VirtualHost

pytestmark = pytest.mark.slow

NOW = "now"
#: What a job does with the library; it is given the state folder, the broker and the blueprint.
JOB = """
import json, sys
from outrider import dispatcher
from outrider.cli.local import local_dispatcher
from outrider.dispatcher.store import agents

state, broker_url, blueprint = sys.argv[1:]
with local_dispatcher(state, broker_urls=[broker_url]) as job:
    job.create_blueprint("ledger", blueprint)
    job.create_deployment("ledger", "ledger")
    statuses = [job.run(each, "ledger", timeout_seconds=120).status.value for each in ("install", "uninstall")]
    with job.database.read() as connection:
        heartbeat = agents.by_ids(connection, ["central"])["central"].heartbeat
print(json.dumps({"statuses": statuses, "code": dispatcher.__file__, "agent": heartbeat["process_id"]}))
"""


def environment(release: str, **settings: str) -> dict[str, str]:
    """Return an environment in which `outrider` is that release."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OUTRIDER_", "PYTHON"))}
    path = {} if release == NOW else {"PYTHONPATH": str(releases.installed(release))}
    return {**inherited, **path, **{f"OUTRIDER_{name}": value for name, value in settings.items()}}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("release", sorted(releases.commits()))
@pytest.mark.parametrize("older", ["agent", "dispatcher"])
def test_a_release_and_this_code_install_and_uninstall_together(
    tmp_path: Path, rabbitmq_vhost: VirtualHost, release: str, older: str
) -> None:
    ledger = Ledger(tmp_path / "ledger", 12, {3: 1})
    state = str(tmp_path / "agent")
    ours = environment(
        release if older == "agent" else NOW,
        AGENT_ID="central", STATE_DIR=state, BROKER_URLS=rabbitmq_vhost.url, RETRY_INTERVAL_SECONDS="0.5",
    )  # fmt: skip
    theirs = environment(
        release if older == "dispatcher" else NOW, RETRY_INTERVAL_SECONDS="0.5", HOME=str(tmp_path / "home")
    )
    agent = ServiceProcess([sys.executable, "-m", "outrider.agent"], environment=ours, log=tmp_path / "agent.log")
    agent.start()
    try:
        job = subprocess.run(
            [sys.executable, "-c", JOB, str(tmp_path / "state"), rabbitmq_vhost.url, str(ledger.blueprint())],
            check=False, env=theirs, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert job.returncode == 0, job.stderr + agent.log.read_text()
        told = json.loads(job.stdout.splitlines()[-1])
    finally:
        agent.terminate()
        subprocess.run([sys.executable, "-m", "outrider.agent", "stop-all"], env=ours, check=True, timeout=60)
    assert told["statuses"] == ["terminated", "terminated"]
    assert (str(releases.installed(release)) in told["code"]) is (older == "dispatcher")
    assert (ledger.count("begin"), ledger.count("end")) == (13, 13)
