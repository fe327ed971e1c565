"""The compatible facade: what can be imported, what it costs, and its parts beside `ctx`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from outrider.plugins.script.environment import CTX_COMMAND, CTX_FUNCTION
from outrider.plugins.sdk.testing import call, instance_data, made_up_context
from tests.support.facade import facade_on_path


@pytest.fixture(autouse=True)
def facade() -> Iterator[str]:
    with facade_on_path() as site:
        yield site


def load(name: str) -> Any:
    """Import a module of the facade."""
    return importlib.import_module(name)


def test_the_distributions_that_plugins_require_are_there() -> None:
    assert version("cloudify-common") == version("fusion-common") == "7.1.0"


def test_importing_ctx_imports_nothing_slow(facade: str) -> None:
    root = str(Path(next(iter(importlib.import_module("outrider").__path__))).parent)
    code = (
        "import sys\n"
        "from cloudify import ctx\n"
        "from cloudify.exceptions import NonRecoverableError\n"
        "from cloudify.decorators import operation\n"
        "print(*sys.modules)"
    )
    environment = {"PYTHONPATH": os.pathsep.join([facade, root])}
    command = [sys.executable, "-S", "-c", code]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert not {"typing", "logging", "urllib", "ssl", "inspect", "traceback", "http"} & set(loaded.split())


def test_what_is_missing_comes_from_the_wagons_own_copy(tmp_path: Path) -> None:
    (tmp_path / "cloudify" / "workflows").mkdir(parents=True)
    (tmp_path / "cloudify" / "rare_module.py").write_text("VALUE = 7\n")
    (tmp_path / "cloudify" / "exceptions.py").write_text("raise AssertionError('the facade has this one')\n")
    (tmp_path / "cloudify" / "workflows" / "rare.py").write_text("VALUE = 8\n")
    sys.path.append(str(tmp_path))
    try:
        assert load("cloudify.rare_module").VALUE == 7
        assert load("cloudify.workflows.rare").VALUE == 8
        assert load("cloudify.exceptions").NonRecoverableError
    finally:
        sys.path.remove(str(tmp_path))


def test_the_uploaded_client_is_the_ctx_command_itself(facade: str) -> None:
    # One source, two places: plugins upload the facade's copy, from this very path, to hosts that have nothing else.
    assert (Path(facade) / "cloudify" / "proxy" / "client.py").read_bytes() == CTX_COMMAND.read_bytes()
    assert (Path(facade) / "cloudify" / "ctx_wrappers" / "ctx-sh").read_bytes() == CTX_FUNCTION.read_bytes()


def test_a_proxy_serves_a_context_by_its_port_alone() -> None:
    proxy_module, client = load("cloudify.proxy.server"), load("cloudify.proxy.client")
    ctx = load("cloudify").ctx
    with made_up_context(properties={"port": 80}):
        proxy = proxy_module.HTTPCtxProxy(ctx._get_current_object())
        try:
            assert client.client_req(f"http://localhost:{proxy.port}", ["node", "properties", "port"]) == 80
            with pytest.raises(client.RequestError, match="illegal path"):
                client.client_req(proxy.socket_url, ["node", "properties", "nothing"])
        finally:
            proxy.close()


def test_the_script_operation_runs_under_its_known_name() -> None:
    script = "#!/bin/sh\nctx instance runtime-properties tenant $(ctx tenant-name); ctx returns $(ctx deployment id)"
    run = call("script_runner.tasks.run", inputs={"script_source": script})
    assert run.value_or_raise() == "deployment"
    assert run.runtime_properties == {"tenant": "default_tenant"}


def test_a_python_script_uses_ctx_and_its_parameters() -> None:
    script = """
    from cloudify import ctx
    from cloudify.state import ctx_parameters as inputs

    ctx.instance.runtime_properties["size"] = inputs.size
    ctx.returns(inputs["size"])
    """
    for operation in ("script_runner.tasks.run", "outrider.plugins.script.tasks.run"):
        run = call(operation, inputs={"script_source": script, "size": 5})
        assert run.value_or_raise() == 5
        assert run.runtime_properties == {"size": 5}


def test_script_parts_that_other_plugins_build_on_work_together() -> None:
    tasks = load("script_runner.tasks")
    with made_up_context():
        proxy = tasks.start_ctx_proxy(load("cloudify").ctx._get_current_object(), {})
        try:
            environment = tasks._get_process_environment({"env": {"A": {"b": 1}}}, proxy)
            tasks.process_ctx_request(proxy)
            out = subprocess.run(
                ["ctx", "node", "id"], env=environment, capture_output=True, text=True, check=True, timeout=30
            )
        finally:
            proxy.close()
    assert (out.stdout, environment["A"]) == ("node\n", '{"b": 1}')
    assert tasks.start_ctx_proxy(None, {"ctx_proxy_type": "none"}).socket_url == ""


def test_the_python_wrapper_for_remote_hosts_works(facade: str, tmp_path: Path) -> None:
    wrapper = Path(facade) / "cloudify" / "ctx_wrappers" / "ctx-py.py"
    (tmp_path / "cloudify.py").write_bytes(wrapper.read_bytes())
    (tmp_path / "remote.py").write_text(
        "from cloudify import ctx\n"
        "ctx.instance.runtime_properties['port'] = ctx.node.properties['port'] + 1\n"
        "ctx.logger.info('%s of %s', 'hello', ctx.node.id)\n"
        "ctx.returns({'a': [1]})\n"
    )
    script = f"#!/bin/sh\nPYTHONPATH={tmp_path} {sys.executable} {tmp_path}/remote.py"
    run = call("script_runner.tasks.run", inputs={"script_source": script}, properties={"port": 1})
    assert run.value_or_raise() == {"a": [1]}
    assert (run.runtime_properties, run.messages) == ({"port": 2}, ["hello of node"])


def test_workflow_names_import_and_say_that_they_are_not_there() -> None:
    with pytest.raises(RuntimeError, match="outside a workflow"):
        _ = load("cloudify.workflows").ctx.nodes
    with pytest.raises(load("cloudify.exceptions").NonRecoverableError, match=r"workflows\.update is not provided"):
        load("cloudify.plugins.workflows").update()
    assert load("cloudify.workflows.api").has_cancel_request() is False


def test_helpers_do_what_plugins_use_them_for() -> None:
    utils = load("cloudify.utils")
    cause = utils.exception_to_error_cause(ValueError("x"), None)
    assert (cause["type"], cause["message"]) == ("ValueError", "x")
    assert len(utils.id_generator(9)) == 9
    assert utils.LocalCommandRunner().run("echo hi").std_out == "hi"
    with pytest.raises(load("cloudify.exceptions").CommandExecutionException, match="code: 3"):
        utils.LocalCommandRunner().run(["sh", "-c", "exit 3"])
    assert utils.get_tenant_name() is None
    merge = load("cloudify.conflict_handlers").simple_merge_handler
    assert merge({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="'a'"):
        merge({"a": 1}, {"a": 2})
    data = load("cloudify.compute").create_multi_mimetype_userdata(["#!/bin/sh\n", "#cloud-config\n"])
    assert "text/x-shellscript" in data
    assert "text/cloud-config" in data


class _Manager(BaseHTTPRequestHandler):
    """Answers like a manager, and notes what it was asked."""

    asked: list[tuple[str, str, Any, dict[str, str]]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((self.command, self.path, body, dict(self.headers)))
        status, answer = self._reply()
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _reply(self) -> tuple[int, Any]:
        if "missing" in self.path:
            return 404, {"message": "secret not found", "error_code": "not_found_error"}
        if "pending" in self.path:
            code = "deployment_environment_creation_pending_error"
            return 400, {"message": "wait", "error_code": code, "server_traceback": None}
        if self.command == "GET" and "node-instances?" in self.path:
            items = [{"id": "a_1", "index": 1, "state": "started"}]
            return 200, {"items": items, "metadata": {"pagination": {"total": 1, "size": 1000, "offset": 0}}}
        return 200, {"key": "k", "value": "v", "id": "x"}

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def manager() -> Iterator[type[_Manager]]:
    handler = type("Manager", (_Manager,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    handler.port = server.server_address[1]  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_the_rest_client_speaks_the_managers_language(manager: Any) -> None:
    client = load("cloudify_rest_client").CloudifyClient(
        host="127.0.0.1", port=manager.port, username="u", password="p", tenant="t"
    )
    assert client.secrets.get("k").value == "v"
    instances = client.node_instances.list(deployment_id="d", node_id="a", _include=["id", "state"], sort="id")
    assert (len(instances), instances[0].id, instances.one()["id"]) == (1, "a_1", "a_1")
    assert instances.metadata.pagination.total == 1
    client.executions.start("d", "install", parameters={"a": 1}, allow_custom_parameters=True)
    client.node_instances.update("a_1", runtime_properties={"x": 1}, version=4)
    asked = manager.asked
    assert asked[0][:2] == ("GET", "/api/v3.1/secrets/k")
    assert (asked[0][3]["Tenant"], asked[0][3]["Authorization"]) == ("t", "Basic dTpw")
    assert asked[1][1] == "/api/v3.1/node-instances?_include=id%2Cstate&deployment_id=d&node_id=a&_sort=id"
    assert asked[2][2]["allow_custom_parameters"] == "true"
    assert asked[3][:3] == ("PATCH", "/api/v3.1/node-instances/a_1", {"version": 4, "runtime_properties": {"x": 1}})


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_stands_in_brackets_in_the_rest_clients_urls(host: str) -> None:
    client = load("cloudify_rest_client").CloudifyClient(host=host, port=8099)
    assert client._client.url == "http://[::1]:8099/api/v3.1"


def test_rest_errors_are_told_apart(manager: Any) -> None:
    client = load("cloudify_rest_client").CloudifyClient(host="127.0.0.1", port=manager.port)
    errors = load("cloudify_rest_client.exceptions")
    with pytest.raises(errors.CloudifyClientError, match="404: secret not found") as caught:
        client.secrets.get("missing")
    assert (caught.value.status_code, caught.value.error_code) == (404, "not_found_error")
    with pytest.raises(errors.DeploymentEnvironmentCreationPendingError):
        client.deployments.get("pending")
    with pytest.raises(errors.CloudifyClientError, match="cannot reach the manager"):
        load("cloudify_rest_client").CloudifyClient(host="127.0.0.1", port=9).secrets.get("k")
    with pytest.raises(AttributeError, match=r"CloudifyClient\.no_such"):
        _ = client.no_such
    with pytest.raises(AttributeError, match=r"CloudifyClient\.secrets\.no_such"):
        _ = client.secrets.no_such


def test_the_client_of_an_operation_uses_its_token_and_tenant(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    get_rest_client = load("cloudify.manager").get_rest_client
    with made_up_context(), pytest.raises(load("cloudify.exceptions").NonRecoverableError, match="without a manager"):
        get_rest_client()
    monkeypatch.setenv("REST_PROTOCOL", "http")
    extras = {"rest_host": "127.0.0.1", "rest_port": manager.port, "execution_token": "tok"}
    with made_up_context(context={"extras": extras, "tenant": "mine"}):
        get_rest_client().secrets.get("k")
    headers = manager.asked[0][3]
    assert (headers["Execution-Token"], headers["Tenant"]) == ("tok", "mine")


def test_a_serial_operation_waits_for_the_instances_before_its_own(
    manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager knows one instance, `a_1`, with index 1 and state started."""
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(manager.port)), ("PROTOCOL", "http"), ("TOKEN", "tok")):
        monkeypatch.setenv(f"REST_{name}", value)
    decorate = load("cloudify.decorators").serial_operation

    def turn(index: int, **settings: Any) -> Any:
        node = instance_data(node="a", instance=f"a_{index}", index=index)
        return call(decorate(**settings)(lambda **_: "done"), node=node)

    assert turn(2).value == "done"
    assert turn(1, states=["elsewhere"]).value == "done"
    waiting = turn(2, states=["elsewhere"])
    assert waiting.rescheduled
    assert "a_2 waits for a_1" in waiting.error["message"]
    assert turn(2, states=["elsewhere"], threshold=2).value == "done"
    assert turn(2, states=["elsewhere"], workflows=["heal"]).value == "done"
    assert manager.asked[0][3]["Authentication-Token"] == "tok"


def test_polling_ends() -> None:
    poll = load("cloudify_types.component.polling").poll_with_timeout
    began = time.monotonic()
    assert poll(lambda: True, timeout=5, interval=0.01)
    assert not poll(lambda: False, timeout=0.05, interval=0.01)
    assert time.monotonic() - began < 5
