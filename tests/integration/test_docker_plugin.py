"""The Docker plugin's operations on a real engine: made once, found again, removed; and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import pytest

from outrider.cli.home import Home
from outrider.cli.local import opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store.executions import Status
from outrider.manager_stub.catalogue import TenantPlugins
from outrider.plugins.sdk.testing import OperationRun
from tests.support.docker_engine import DockerEngine, engine
from tests.support.docker_nodes import DockerNode, connect
from tests.support.docker_registry import WORD, Registry, busybox_tarball, inventory, push_busybox, registry
from tests.support.shipped_wagons import shipped_wagon

__all__ = ["engine", "registry"]

#: Answers on port 80 in the container, and ends at once when asked to.
SERVE = ["sh", "-c", "echo hello > /data/index.html; echo serving; exec busybox httpd -f -p 80 -h /data"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(engine: DockerEngine) -> Iterator[docker.DockerClient]:
    with contextlib.closing(engine.client()) as made:
        yield made


@pytest.fixture(scope="module")
def busybox(client: docker.DockerClient) -> Iterator[str]:
    """An image that is on the engine for all tests."""
    client.api.import_image_from_data(busybox_tarball(), repository="tests/busybox", tag="1")
    yield "tests/busybox:1"
    client.images.remove("tests/busybox:1", force=True)


@pytest.fixture(autouse=True)
def nothing_left(client: docker.DockerClient, busybox: str) -> Iterator[None]:
    """Fail a test that leaves something on the engine."""
    before = inventory(client)
    yield
    assert inventory(client) == before


@pytest.fixture
def local(engine: DockerEngine) -> dict[str, Any]:
    return {"url": engine.url}


def container_node(config: dict[str, Any], image: str, **properties: Any) -> DockerNode:
    return DockerNode("Container", config, {"image": image, "command": SERVE, **properties})


def error_of(run: OperationRun) -> tuple[bool, str]:
    assert run.error is not None
    return run.error["recoverable"], run.error["message"]


def test_a_container_with_limits_a_health_check_and_a_restart_policy(
    local: dict[str, Any], client: docker.DockerClient, busybox: str
) -> None:
    node = container_node(
        local,
        busybox,
        health_check={"command": "wget -q -O - http://127.0.0.1/", "interval_seconds": 1},
        restart_policy={"name": "on-failure", "retries": 3},
        limits={"memory": "64m", "cpus": 0.5, "processes": 20},
        environment={"COLOUR": "blue", "SIZE": 3},
    )
    for operation in ("create", "start", "poststart"):
        node.do(operation)
    found = client.containers.get(node.runtime_properties["docker_id"])
    host_config = found.attrs["HostConfig"]
    assert found.attrs["State"]["Health"]["Status"] == "healthy"
    assert host_config["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert (host_config["Memory"], host_config["NanoCpus"], host_config["PidsLimit"]) == (64 * 2**20, 5 * 10**8, 20)
    assert {"COLOUR=blue", "SIZE=3"} <= set(found.attrs["Config"]["Env"])
    assert node.do("run_command", command=["sh", "-c", "echo $COLOUR"]).value == {"exit_code": 0, "output": "blue\n"}
    assert node.do("logs").value == "serving\n"
    assert node.do("check_drift").value is None

    found.stop(timeout=0)
    assert node.do("check_drift").value == {"status": "exited"}
    node.do("start")
    assert client.containers.get(found.id).status == "running"
    node.do("stop", timeout_seconds=1)
    node.do("delete")
    assert node.runtime_properties == {}


def test_a_command_that_fails_in_a_container_fails_the_operation(local: dict[str, Any], busybox: str) -> None:
    node = container_node(local, busybox)
    node.do("create")
    node.do("start")
    recoverable, message = error_of(node.run("run_command", command="test -e /nowhere"))
    assert not recoverable
    assert "ended with code 1" in message
    node.do("delete")


def test_a_container_that_ends_or_is_unhealthy_is_said_with_its_output(local: dict[str, Any], busybox: str) -> None:
    ending = container_node(local, busybox, command=["sh", "-c", "echo no configuration; exit 3"])
    ending.do("create")
    ending.do("start")
    with contextlib.suppress(AssertionError):
        ending.do("poststart")
    recoverable, message = error_of(ending.run("poststart"))
    assert not recoverable
    assert "ended with code 3: no configuration" in message
    ending.do("delete")

    check = {"command": "echo broken; exit 1", "interval_seconds": 1, "retries": 1}
    sick = container_node(local, busybox, health_check=check)
    sick.do("create")
    sick.do("start")
    with pytest.raises(AssertionError, match="is unhealthy: broken"):
        sick.do("poststart")
    sick.do("delete")


def test_containers_on_a_network_with_a_volume(
    local: dict[str, Any], client: docker.DockerClient, busybox: str
) -> None:
    network = DockerNode("Network", local, {"subnet": "10.211.77.0/24"})
    volume = DockerNode("Volume", local, name="store")
    network.do("create")
    volume.do("create")
    server = DockerNode(
        "Container", local, {"image": busybox, "command": SERVE, "mounts": {"store": "/data"}}, [volume], name="server"
    )
    asking = container_node(local, busybox, command=["sleep", "600"])
    for node in (server, asking):
        node.do("create")
        connect(node, network).value_or_raise()
        connect(node, network).value_or_raise()
        node.do("start")
    assert server.runtime_properties["addresses"][network.runtime_properties["name"]].startswith("10.211.77.")
    assert asking.do("run_command", command="wget -q -O - http://server/").value["output"] == "hello\n"

    assert network.run("delete").rescheduled, "a network that is in use waits"
    for node in (server, asking):
        node.do("stop", timeout_seconds=1)
        node.do("delete")
    network.do("delete")
    kept = client.volumes.get(volume.runtime_properties["name"])
    volume.properties = {"keep": True}
    volume.do("delete")
    assert client.volumes.get(kept.name).id == kept.id
    kept.remove()


def test_an_image_is_pulled_with_credentials_and_removed(
    local: dict[str, Any], client: docker.DockerClient, engine: DockerEngine, registry: Registry
) -> None:
    name = push_busybox(engine, registry, "app:1")
    access = {"address": registry.address, "username": registry.user, "password": registry.password}
    login = DockerNode("Registry", local, access)
    login.do("create")
    image = DockerNode("Image", local, {"name": "app:1", "registry": access})
    image.do("create")
    assert client.images.get(name).id == image.runtime_properties["docker_id"]
    container = DockerNode("Container", local, {"command": ["sleep", "600"]}, [image])
    container.do("create")
    assert client.containers.get(container.runtime_properties["docker_id"]).attrs["Config"]["Image"] == name
    assert image.run("delete").rescheduled, "an image that this deployment uses waits"
    container.do("delete")
    image.do("delete")
    login.do("delete")


@pytest.mark.parametrize(
    ("password", "name", "text"),
    [
        ("wrong", "app:1", "unauthorized"),
        (None, "app:1", "no basic auth credentials"),
        ("right", "nosuch:9", "not found"),
    ],
)
def test_what_a_registry_refuses_is_final(
    local: dict[str, Any], engine: DockerEngine, registry: Registry, password: str | None, name: str, text: str
) -> None:
    push_busybox(engine, registry, "app:1")
    access: dict[str, Any] = {"address": registry.address}
    if password is not None:
        access |= {"username": registry.user, "password": registry.password if password == "right" else password}
    recoverable, message = error_of(DockerNode("Image", local, {"name": name, "registry": access}).run("create"))
    assert not recoverable, message
    assert text in message.lower()
    assert registry.password not in message
    if password == "wrong":
        recoverable, message = error_of(DockerNode("Registry", local, access).run("create"))
        assert not recoverable, message


def test_a_registry_that_is_away_is_tried_again(local: dict[str, Any]) -> None:
    image = DockerNode("Image", local, {"name": "app:1", "registry": {"address": "127.0.0.1:1"}})
    recoverable, message = error_of(image.run("create"))
    assert recoverable
    assert "127.0.0.1:1" in message


@contextlib.contextmanager
def answering(status: int, body: dict[str, Any]) -> Iterator[str]:
    """Stand for a server that says one thing to everybody, but its version to who asks for that; yields its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.path == "/version"
            text = json.dumps({"ApiVersion": "1.41"} if asked else body).encode()
            self.send_response(200 if asked else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def test_a_registry_that_throttles_is_tried_again(local: dict[str, Any]) -> None:
    said = {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached your pull rate limit."}]}
    with answering(429, said) as address:
        image = DockerNode("Image", local, {"name": "app:1", "registry": {"address": address}})
        recoverable, message = error_of(image.run("create"))
    assert recoverable, message
    assert "toomanyrequests" in message.lower()


@pytest.mark.parametrize(
    ("text", "recoverable"),
    [
        ("write /var/lib/docker/volumes/x: no space left on device", False),
        ("write /var/lib/docker/volumes/x: disk quota exceeded", False),
        ("could not find an available, non-overlapping IPv4 address pool", False),
        ("the server is shutting down", True),
    ],
)
def test_an_engine_without_room_is_final_and_one_that_restarts_is_not(text: str, recoverable: bool) -> None:
    with answering(500, {"message": text}) as address:
        failed = DockerNode("Volume", {"url": f"tcp://{address}"}).run("create")
    assert error_of(failed)[0] is recoverable
    assert text in error_of(failed)[1]


def test_an_image_is_built_from_the_blueprint(local: dict[str, Any], client: docker.DockerClient, busybox: str) -> None:
    dockerfile = f'FROM {busybox}\nARG WORD\nRUN echo $WORD > /etc/word\nCMD ["cat", "/etc/word"]\n'
    image = DockerNode(
        "Image",
        local,
        {"name": "tests/built:1", "build": {"folder": "image", "arguments": {"WORD": "deep"}}},
        resources={"image/Dockerfile": dockerfile},
    )
    built = image.do("create")
    assert any("echo $WORD" in message for message in built.messages)
    container = container_node(local, "tests/built:1", command=None, may_end=True)
    for operation in ("create", "start", "poststart"):
        container.do(operation)
    assert container.do("logs").value == "deep\n"
    container.do("delete")
    image.do("delete")

    image.resources = {"image/Dockerfile": f"FROM {busybox}\nRUN exit 4\n"}
    recoverable, message = error_of(image.run("create"))
    assert not recoverable
    assert "exit 4" in message
    image.do("delete")
    client.images.prune({"dangling": True})


def test_an_image_is_loaded_from_an_archive(local: dict[str, Any], client: docker.DockerClient, busybox: str) -> None:
    client.images.get(busybox).tag("tests/saved", "1")
    # Not by `get_image`, which leaves its connection to the garbage collector.
    archive = client.api.get(f"{client.api.base_url}/v{client.api.api_version}/images/tests/saved:1/get").content
    client.images.remove("tests/saved:1")
    saved = DockerNode("Image", local, {"name": "tests/saved:1", "archive": "a.tar"}, resources={"a.tar": archive})
    saved.do("create")
    saved.do("delete")
    properties = {"name": "tests/root:1", "archive": "root.tar", "archive_is_root_file_system": True}
    imported = DockerNode("Image", local, properties, resources={"root.tar": busybox_tarball()})
    imported.do("create")
    imported.do("delete")


def test_an_image_that_was_there_stays(local: dict[str, Any], client: docker.DockerClient, busybox: str) -> None:
    image = DockerNode("Image", local, {"name": busybox})
    image.do("create")
    image.do("delete")
    assert client.images.get(busybox)


CREATED = {
    "container": container_node,
    "network": lambda config, _image: DockerNode("Network", config),
    "volume": lambda config, _image: DockerNode("Volume", config),
    "image": lambda config, _image: DockerNode(
        "Image",
        config,
        {"name": "tests/crashed:1", "archive": "root.tar", "archive_is_root_file_system": True},
        resources={"root.tar": busybox_tarball()},
    ),
}


@pytest.mark.parametrize("kind", CREATED)
@pytest.mark.parametrize("then", ["resume", "uninstall"])
def test_a_crash_between_create_and_record_leaks_nothing_and_makes_nothing_twice(
    kind: str, then: str, local: dict[str, Any], client: docker.DockerClient, busybox: str
) -> None:
    before = inventory(client)
    node = CREATED[kind](local, busybox)
    # An image notes first whether it was there.
    node.crash("create", saves=1 if kind == "image" else 0)
    assert "docker_id" not in node.runtime_properties
    after_crash = inventory(client)
    assert after_crash != before
    if then == "resume":
        node.do("create")
        assert inventory(client) == after_crash
    node.do("delete")
    assert inventory(client) == before


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_a_name_that_somebody_else_has_is_said_and_can_be_used_from_outside(
    kind: str, local: dict[str, Any], client: docker.DockerClient, busybox: str
) -> None:
    if kind == "container":
        theirs: Any = client.containers.create(busybox, ["sleep", "1"], name="taken")
    else:
        theirs = (client.networks if kind == "network" else client.volumes).create("taken")
    node = CREATED[kind](local, busybox)
    node.properties = {**node.properties, "resource_id": "taken"}
    recoverable, message = error_of(node.run("create"))
    assert not recoverable
    assert f"already has a {kind} 'taken'" in message

    node.properties = {**node.properties, "use_external_resource": True}
    node.do("create")
    assert node.runtime_properties["docker_id"] == theirs.id
    node.do("delete")
    theirs.reload()
    theirs.remove()
    recoverable, message = error_of(node.run("create"))
    assert not recoverable
    assert "which the engine does not have" in message


def test_a_container_that_is_gone_is_no_trouble_for_delete(
    local: dict[str, Any], client: docker.DockerClient, busybox: str
) -> None:
    node = container_node(local, busybox)
    node.do("create")
    client.containers.get(node.runtime_properties["docker_id"]).remove()
    assert node.do("check_drift").value == {"missing": True}
    node.do("stop")
    node.do("delete")


def test_an_engine_that_is_away_is_tried_again() -> None:
    for url in ("unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"):
        recoverable, message = error_of(DockerNode("Volume", {"url": url}).run("create"))
        assert recoverable
        assert f"{url} is not reachable" in message


def test_an_engine_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = {"url": f"tcp://127.0.0.1:{silent.getsockname()[1]}", "timeout_seconds": 1}
        recoverable, _ = error_of(DockerNode("Volume", config).run("create"))
    assert recoverable


def test_an_answer_that_is_lost_makes_nothing_twice(
    engine: DockerEngine, client: docker.DockerClient, busybox: str, tmp_path: Any
) -> None:
    with lossy_engine(engine, str(tmp_path / "lossy.sock")) as url:
        node = container_node({"url": url}, busybox)
        recoverable, _ = error_of(node.run("create"))
        assert recoverable
    made = [each.id for each in client.containers.list(all=True)]
    node.client_config = {"url": engine.url}
    node.do("create")
    assert [each.id for each in client.containers.list(all=True)] == made
    node.do("delete")


@contextlib.contextmanager
def lossy_engine(engine: DockerEngine, path: str) -> Iterator[str]:
    """Stand before the engine, and cut the connection instead of passing on the answer to a create call."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(8)

    def serve() -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            with here, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
                there.connect(engine.url.removeprefix("unix://"))
                there.settimeout(2)
                carry(here, there)

    def carry(here: socket.socket, there: socket.socket) -> None:
        here.settimeout(2)
        with contextlib.suppress(OSError):
            while request := here.recv(65536):
                there.sendall(request)
                if b"/containers/create" in request:
                    there.sendall(here.recv(65536) if request.endswith(b"\r\n\r\n") else b"")
                    there.recv(65536)
                    return
                here.sendall(there.recv(65536))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_an_engine_behind_tls_takes_its_clients_only(engine: DockerEngine) -> None:
    if engine.tls is None:
        pytest.skip("the machine's own engine is used, and its TLS keys are not known")
    texts = {
        "ca": engine.tls.authority.read_text(),
        "certificate": engine.tls.certificate.read_text(),
        "key": engine.tls.key.read_text(),
    }
    node = DockerNode("Volume", {"url": engine.tls.url, "tls": texts})
    node.do("create")
    node.do("delete")
    plain = DockerNode("Volume", {"url": engine.tls.url, "tls": {"ca": texts["ca"]}})
    recoverable, message = error_of(plain.run("create"))
    assert not recoverable, message
    stranger = DockerNode("Volume", {"url": engine.tls.url})
    recoverable, message = error_of(stranger.run("create"))
    assert not recoverable, message
    assert "certificate" in message


BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, "plugin:outrider-plugin-docker"]
inputs: {engine: {}, registry: {}}
node_templates:
  login:
    type: outrider.nodes.docker.Registry
    properties:
      client_config: {get_input: engine}
      address: {get_input: [registry, address]}
      username: {get_input: [registry, username]}
      password: {get_input: [registry, password]}
  image:
    type: outrider.nodes.docker.Image
    properties: {client_config: {get_input: engine}, name: "web:1", registry: {get_input: registry}}
    relationships: [{type: cloudify.relationships.depends_on, target: login}]
  network:
    type: outrider.nodes.docker.Network
    properties: {client_config: {get_input: engine}}
  pages:
    type: outrider.nodes.docker.Volume
    properties: {client_config: {get_input: engine}}
  web:
    type: outrider.nodes.docker.Container
    properties:
      client_config: {get_input: engine}
      command: [sh, -c, "cp /www/index.html /data && exec busybox httpd -f -p 80 -h /data"]
      mounts: {pages: /data}
      health_check: {command: "wget -q -O /dev/null http://127.0.0.1/", interval_seconds: 1}
    relationships:
      - {type: outrider.relationships.docker.runs_image, target: image}
      - {type: cloudify.relationships.depends_on, target: pages}
      - {type: outrider.relationships.docker.connected_to_network, target: network}
outputs:
  container: {value: {get_attribute: [web, docker_id]}}
"""


def test_a_whole_deployment_comes_and_goes(
    local: dict[str, Any], engine: DockerEngine, client: docker.DockerClient, registry: Registry, tmp_path: Path
) -> None:
    """The whole way: wagon, registration, blueprint, the central agent, its environment, the engine, and back."""
    push_busybox(engine, registry, "web:1")
    access = {"address": registry.address, "username": registry.user, "password": registry.password}
    home, blueprint = Home(tmp_path / "home"), tmp_path / "blueprint.yaml"
    blueprint.write_text(BLUEPRINT)
    settings = CommandSettings(home, ConnectionSettings(), EngineSettings(retry_interval_seconds=0.5), {})
    with opened(settings) as running:
        dispatcher = running.dispatcher
        register(dispatcher.database, ContentStore(home.files), shipped_wagon("docker"))
        catalogue = TenantPlugins(dispatcher.database, dispatcher.tenant)
        dispatcher.create_blueprint("site", blueprint, settings=BlueprintSettings(plugins=catalogue))
        dispatcher.create_deployment("site", "site", inputs={"engine": local, "registry": access})
        installed = dispatcher.run("install", "site", timeout_seconds=300)
        assert installed.status is Status.TERMINATED, installed.error
        container = client.containers.get(dispatcher.outputs("site")["container"])
        assert container.exec_run(["cat", "/data/index.html"]).output == WORD
        assert container.labels["outrider.deployment"] == "site"
        for workflow in ("check_status", "check_drift", "uninstall"):
            ended = dispatcher.run(workflow, "site", timeout_seconds=300)
            assert ended.status is Status.TERMINATED, ended.error
