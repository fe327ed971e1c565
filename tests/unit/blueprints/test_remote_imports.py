"""Imports by URL: only when allowed, with bounds on attempts and size, and redirected by resolver rules."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import BlueprintInvalid, ResolverRule, Settings, load
from outrider.dispatcher.blueprint.text import Limits


class Server(ThreadingHTTPServer):
    """Serves small files; `failures` first answers are errors of the server."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            "/a.yaml": "imports: [sub/b.yaml]\n",
            "/sub/b.yaml": "inputs: {x: {default: 1}}\n",
            "/large.yaml": "#" * 5000,
        }
        self.failures = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        text = self.server.files.get(self.path)
        if text is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def blueprint(folder: Path, name: str) -> Path:
    path = folder / "blueprint.yaml"
    path.write_text(f"tosca_definitions_version: cloudify_dsl_1_5\nimports: ['{name}']\n", encoding="utf-8")
    return path


QUICK = Settings(allow_http=True, http_retry_seconds=0.0)


def test_an_import_by_url_and_what_it_imports_relative_to_itself(server: Server, tmp_path: Path) -> None:
    plan = load(blueprint(tmp_path, f"{server.url}/a.yaml"), settings=QUICK).plan
    assert plan["inputs"] == {"x": {"default": 1}}


def test_a_server_that_fails_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.failures = 2
    plan = load(blueprint(tmp_path, f"{server.url}/sub/b.yaml"), settings=QUICK).plan
    assert plan["inputs"] == {"x": {"default": 1}}
    assert server.asked == ["/sub/b.yaml"] * 3


def test_attempts_end(server: Server, tmp_path: Path) -> None:
    server.failures = 100
    with pytest.raises(BlueprintInvalid, match="in 4 attempts"):
        load(blueprint(tmp_path, f"{server.url}/a.yaml"), settings=QUICK)
    assert len(server.asked) == QUICK.http_attempts


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BlueprintInvalid, match="answers 404"):
        load(blueprint(tmp_path, f"{server.url}/zz.yaml"), settings=QUICK)
    assert len(server.asked) == 1


def test_an_answer_has_a_limit(server: Server, tmp_path: Path) -> None:
    settings = Settings(allow_http=True, limits=Limits(file_bytes=1000))
    with pytest.raises(BlueprintInvalid, match="more than 1000 bytes"):
        load(blueprint(tmp_path, f"{server.url}/large.yaml"), settings=settings)


def test_a_rule_redirects_a_url_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "x.yaml").write_text("inputs: {m: {}}\n", encoding="utf-8")
    rule = ResolverRule("http://host.invalid/files", str(tmp_path / "mirror"))
    plan = load(blueprint(tmp_path, "http://host.invalid/files/x.yaml"), settings=Settings(resolver_rules=(rule,))).plan
    assert plan["inputs"] == {"m": {}}
