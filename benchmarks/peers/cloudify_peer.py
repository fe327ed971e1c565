"""Runs one operation as the ecosystem does: a fresh interpreter, `cloudify.dispatch` of PyPI's cloudify-common.

Its context calls home for the node, its instance and each batch of logs, so a manager of four answers stands beside it,
on loopback. The interpreter is one into whose environment the plugin's wagon was installed, cloudify-common included.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 120.0
NODE, INSTANCE = "node", "node_1"


@dataclass(frozen=True)
class CloudifyPeer:
    """One operation, prepared to be run again and again."""

    python: Path
    folder: Path
    environment: Mapping[str, str]

    def run(self) -> float:
        """Run the operation; return the seconds that it took. Raises `RuntimeError` with its error if it fails."""
        command = [str(self.python), "-u", "-m", "cloudify.dispatch", str(self.folder)]
        output = self.folder / "output.json"
        output.unlink(missing_ok=True)
        began = time.perf_counter()
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
        seconds = time.perf_counter() - began
        answer = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {"type": "nothing"}
        if answer["type"] != "result":
            raise RuntimeError(f"the peer's operation failed: {answer}\n{done.stderr.decode(errors='replace')[-2000:]}")
        return seconds


@contextmanager
def cloudify_peer(
    python: Path, folder: Path, *, operation: str, name: str, node: Mapping[str, Any]
) -> Iterator[CloudifyPeer]:
    """Prepare `operation` (``module.function``), called `name` in its interface, for a node of type and properties."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _manager(node))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        context = _context(operation, name, server.server_port)
        message = {"cloudify_context": context, "args": [], "kwargs": {"__cloudify_context": context}}
        (folder / "input.json").write_text(json.dumps(message), encoding="utf-8")
        yield CloudifyPeer(python, folder, _environment(folder, server.server_port))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _context(operation: str, name: str, port: int) -> dict[str, Any]:
    return {
        "type": "operation",
        "task_id": "task",
        "task_name": operation,
        "task_queue": "queue",
        "task_target": "queue",
        "execution_id": "execution",
        "workflow_id": "install",
        "deployment_id": "deployment",
        "blueprint_id": "blueprint",
        "node_id": INSTANCE,
        "node_name": NODE,
        "tenant": {"name": "default_tenant"},
        "plugin": {"name": "aws", "package_name": "plugin", "package_version": "1", "properties": {}},
        "operation": {"name": name, "retry_number": 0, "max_retries": 0},
        "rest_token": "none",
        "execution_token": "none",
        "rest_host": "127.0.0.1",
        "rest_port": port,
    }


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "CLOUDIFY_DISPATCH": "true",
        "REST_HOST": "127.0.0.1",
        "REST_PORT": str(port),
        "REST_PROTOCOL": "http",
        "MANAGER_FILE_SERVER_URL": f"http://127.0.0.1:{port}/resources",
        "LOCAL_REST_CERT_FILE": "",
        "AGENT_NAME": "agent",
        "AGENT_WORK_DIR": str(folder),
        "AGENT_LOG_DIR": str(folder),
        "AGENT_LOG_LEVEL": "INFO",
        "MANAGER_NAME": "manager",
    }


def _manager(node: Mapping[str, Any]) -> type[BaseHTTPRequestHandler]:
    described = {"id": NODE, "deployment_id": "deployment", "blueprint_id": "blueprint", "relationships": [], **node}
    instance = {
        "id": INSTANCE,
        "node_id": NODE,
        "deployment_id": "deployment",
        "state": "creating",
        "version": 1,
        "runtime_properties": {},
        "relationships": [],
    }

    class Manager(BaseHTTPRequestHandler):
        """Knows one node and its instance, and takes logs and updates."""

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "/node-instances/" in self.path:
                self._reply(200, instance)
            elif "/nodes" in self.path:
                page = {"total": 1, "size": 1000, "offset": 0}
                self._reply(200, {"items": [described], "metadata": {"pagination": page}})
            else:
                self._reply(201, {})

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - names that http.server looks up

        def _reply(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Stay silent."""

    return Manager
