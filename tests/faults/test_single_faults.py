"""Promises 1, 3, 7 and 8 against single faults of a whole installation: secrets, resources, garbage, quarantine."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from outrider.dispatcher.secrets import SecretInfo
from outrider.dispatcher.store.executions import Status
from outrider.messaging import topology
from outrider.messaging.amqp import AmqpSettings
from outrider.messaging.connect import open_transport
from outrider.messaging.messages import Verdict
from outrider.messaging.transport import Outgoing
from tests.faults.conftest import OpenInstallation
from tests.support.ledger import Ledger, broken_promises, wrong_log_lines
from tests.support.stack import CENTRAL, SHORT, Installation
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 90.0
SUPPORT = Path(__file__).parent.parent / "support"
VALUE = "correct-horse-battery-staple-4711"

BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_3
imports:
  - cloudify/types/types.yaml
inputs:
  began: {default: ""}
  go_on: {default: ""}
plugins:
  oddities: {executor: central_deployment_agent, source: oddities_plugin.py}
  suicidal: {executor: central_deployment_agent, source: suicidal_plugin.py}
node_types:
  odd.Node:
    derived_from: cloudify.nodes.Root
    interfaces:
      test:
        use_secret:
          implementation: oddities.oddities_plugin.use_secret
          inputs:
            password: {default: {get_secret: password}}
            began: {default: {get_input: began}}
            go_on: {default: {get_input: go_on}}
        read_resource:
          implementation: oddities.oddities_plugin.read_resource
          inputs: {path: {default: notes/hello.txt}}
        return_much:
          implementation: oddities.oddities_plugin.return_much
          inputs: {mib: {default: 17}}
        succeed: oddities.oddities_plugin.succeed
        kill_agent:
          implementation: suicidal.suicidal_plugin.create
node_templates:
  node: {type: odd.Node}
"""


@pytest.fixture
def blueprint(tmp_path: Path) -> Path:
    """A blueprint with the operations of the odd plugins, and a resource."""
    folder = tmp_path / "blueprint"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "hello.txt").write_text("hello from the blueprint")
    for name in ("oddities_plugin.py", "suicidal_plugin.py"):
        shutil.copy(SUPPORT / name, folder)
    (folder / "blueprint.yaml").write_text(BLUEPRINT)
    return folder / "blueprint.yaml"


def deploy(installation: Installation, blueprint: Path, **inputs: str) -> None:
    """Make the deployment, and the secret that it names."""
    installation.secrets.set(SecretInfo(name="password", tenant=installation.client.tenant), VALUE)
    installation.deploy(blueprint, "odd", **inputs)


def start(installation: Installation, operation: str) -> str:
    """Start one operation of the blueprint; returns the execution's id."""
    parameters = {"operation": f"test.{operation}"}
    return installation.client.start("execute_operation", "odd", parameters).id


def ended(installation: Installation, execution_id: str) -> Status:
    """Return how an execution ended."""
    return installation.ended(execution_id, within_seconds=PATIENCE_SECONDS).status


def value_of(installation: Installation, execution_id: str) -> object:
    """Return what the execution's last attempt returned."""
    result = installation.attempts(execution_id)[-1].result
    assert result is not None
    return result["value"]


def places_of(value: str, folders: Iterable[Path]) -> list[str]:
    """Return where a value is found, as it is or encoded: files below the folders, command lines, environments."""
    wanted = [value.encode(), base64.b64encode(value.encode()).rstrip(b"="), value.encode().hex().encode()]
    found = [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and _holds(path, wanted)
    ]
    own = os.getpid()
    found.extend(
        f"{name} of process {process.pid}"
        for process in psutil.process_iter()
        for name in ("cmdline", "environ")
        if process.pid != own and _holds(Path(f"/proc/{process.pid}/{name}"), wanted)
    )
    return found


def _holds(path: Path, wanted: list[bytes]) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return any(each in content for each in wanted)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_secret_reaches_its_operation_and_is_nowhere_else(
    open_installation: OpenInstallation, tmp_path: Path, blueprint: Path
) -> None:
    installation = open_installation()
    began, go_on = tmp_path / "began", tmp_path / "go-on"
    deploy(installation, blueprint, began=str(began), go_on=str(go_on))
    installation.add_dispatcher(LOG_LEVEL="debug")
    agent = installation.add_agent(LOG_LEVEL="debug")
    node = installation.vhost.node
    looked_at = (installation.folder, node.data_dir, node.log_dir)

    execution_id = start(installation, "use_secret")
    wait_until(began.exists, PATIENCE_SECONDS, "the operation to have its secret")
    assert places_of(VALUE, looked_at) == []
    agent.kill()
    installation.start_agent(agent)
    assert places_of(VALUE, looked_at) == []
    go_on.touch()
    assert ended(installation, execution_id) is Status.TERMINATED
    assert value_of(installation, execution_id) == hashlib.sha256(VALUE.encode()).hexdigest()
    assert places_of(VALUE, looked_at) == []


def test_the_search_for_a_secret_finds_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(f"password={VALUE}\n")
    (tmp_path / "encoded").write_bytes(base64.b64encode(VALUE.encode()))
    assert len(places_of(VALUE, [tmp_path])) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_agent_without_the_dispatchers_files_fetches_plugin_and_resources_over_http(
    open_installation: OpenInstallation, tmp_path: Path, blueprint: Path
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and util-linux's unshare, to hide the dispatcher's folder from the agent")
    installation = open_installation()
    deploy(installation, blueprint)
    installation.add_dispatcher()
    hide = f'mount -t tmpfs none "{installation.home}" && mount -t tmpfs none "{blueprint.parent}" && exec "$@"'
    installation.add_agent(prefix=("unshare", "--mount", "sh", "-c", hide, "agent"))
    execution_id = start(installation, "read_resource")
    assert ended(installation, execution_id) is Status.TERMINATED
    assert value_of(installation, execution_id) == "hello from the blueprint"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_task_that_kills_its_agent_while_being_prepared_is_quarantined_and_the_agent_goes_on(
    open_installation: OpenInstallation, blueprint: Path
) -> None:
    installation = open_installation()
    deploy(installation, blueprint)
    installation.add_dispatcher(MAX_RETRIES="0")
    agent = installation.add_agent()
    execution_id = start(installation, "kill_agent")
    deaths = 0
    while deaths < 5 and not installation.execution(execution_id).ended:
        wait_until(lambda: not agent.running or installation.execution(execution_id).ended, PATIENCE_SECONDS, "an end")
        if not agent.running:
            deaths += 1
            installation.start_agent(agent)
    assert deaths == 2
    assert ended(installation, execution_id) is Status.FAILED
    assert "Quarantined" in str(installation.execution(execution_id).error)
    assert ended(installation, start(installation, "succeed")) is Status.TERMINATED


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_result_that_no_message_can_hold_is_a_failure_that_says_so(
    open_installation: OpenInstallation, blueprint: Path
) -> None:
    installation = open_installation()
    deploy(installation, blueprint)
    installation.add_dispatcher(MAX_RETRIES="0")
    installation.add_agent()
    execution_id = start(installation, "return_much")
    assert ended(installation, execution_id) is Status.FAILED
    assert "too large to be sent" in str(installation.execution(execution_id).error)
    assert ended(installation, start(installation, "succeed")) is Status.TERMINATED


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_garbage_on_every_queue_is_set_aside_and_everything_goes_on(
    open_installation: OpenInstallation, blueprint: Path
) -> None:
    installation = open_installation()
    deploy(installation, blueprint)
    dispatcher = installation.add_dispatcher()
    installation.add_agent()
    transport = open_transport(AmqpSettings(urls=(installation.vhost.url,)), connect_within_seconds=30)
    bodies = (b"", b"\xff\x00garbage", b"{}", b'{"type": "OperationResult", "version": 999, "body": {}}')
    try:
        for exchange, key in (
            (topology.OPERATIONS, CENTRAL),
            (topology.CONTROL, CENTRAL),
            (topology.RESULTS, f"{CENTRAL}.result"),
            (topology.UPDATES, f"{CENTRAL}.update"),
            (topology.HEARTBEATS, f"{CENTRAL}.heartbeat"),
            (topology.REQUESTS, f"{CENTRAL}.secrets"),
        ):
            for body in bodies:
                transport.publish(Outgoing(exchange, key, body)).result(30)
    finally:
        transport.close()
    assert ended(installation, start(installation, "succeed")) is Status.TERMINATED
    wait_until(lambda: "is not ours" in dispatcher.log.read_text(), PATIENCE_SECONDS, "the dead letters to be reported")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_broker_that_is_away_for_longer_than_a_lease_loses_and_doubles_nothing(
    open_installation: OpenInstallation, tmp_path: Path
) -> None:
    size, slots = 16, 3
    installation = open_installation(times=SHORT, slots=slots)
    ledger = Ledger(tmp_path / "ledger", size)
    installation.deploy(ledger.blueprint())
    installation.add_dispatcher()
    installation.add_agent()
    ledger.hold(range(4, 4 + slots))
    execution_id = installation.client.start("install", "ledger").id
    wait_until(lambda: ledger.held() == slots, PATIENCE_SECONDS, "the held operations to run")

    node = installation.vhost.node
    node.stop()
    # What is under test is the passing of time: the lease of everything that runs ends while nobody can be heard.
    away_until = time.monotonic() + SHORT.lease_seconds + SHORT.grace_seconds + 2
    wait_until(lambda: time.monotonic() > away_until, PATIENCE_SECONDS, "more than a lease to pass")
    ledger.release()
    wait_until(lambda: ledger.held() == 0, PATIENCE_SECONDS, "the held operations to end")
    node.start()

    finished = installation.ended(execution_id, within_seconds=SHORT.bound_seconds + PATIENCE_SECONDS)
    recorded = installation.attempts(execution_id)
    assert (finished.status, finished.error) == (Status.TERMINATED, None)
    assert broken_promises(ledger.lines(), recorded) == []
    assert {each.verdict for each in recorded} <= {Verdict.SUCCEEDED, Verdict.NEVER_STARTED}
    wait_until(
        lambda: not wrong_log_lines(installation.events(execution_id), recorded), PATIENCE_SECONDS, "every log line"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cancel_that_overtakes_its_tasks_is_answered_with_the_truth(
    open_installation: OpenInstallation, tmp_path: Path
) -> None:
    installation = open_installation(slots=2)
    ledger = Ledger(tmp_path / "ledger", 20)
    installation.deploy(ledger.blueprint())
    installation.add_dispatcher()
    agent = installation.add_agent()
    agent.pause()
    ledger.hold(range(20))
    execution_id = installation.client.start("install", "ledger").id
    wait_until(
        lambda: [each.state.value for each in installation.attempts(execution_id)] == ["sent", "sent"],
        PATIENCE_SECONDS,
        "the first operations to be in the agent's queue",
    )
    installation.client.cancel(execution_id)
    wait_until(lambda: installation.execution(execution_id).status is Status.CANCELLING, PATIENCE_SECONDS, "the cancel")
    agent.wake()
    assert ended(installation, execution_id) is Status.CANCELLED
    recorded = installation.attempts(execution_id)
    assert broken_promises(ledger.lines(), recorded) == []
    assert {each.verdict for each in recorded} <= {Verdict.NEVER_STARTED, Verdict.CANCELLED}
