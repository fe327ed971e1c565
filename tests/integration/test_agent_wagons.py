"""Tasks whose plugin comes as a wagon: fetched by hash, installed on demand, run in its own environment."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from outrider.messaging.messages import FilesRef, OperationTask, PluginRef, Proof, Verdict, WagonRef
from tests.support.agents import Stage, make_task
from tests.support.wagons import WagonMaker, sha256_of, wheel_bytes

PLUGIN = {
    "demo_plugin.py": b"import sys\n\ndef where(**_):\n    return [sys.prefix, 'outrider.messaging' in sys.modules]\n"
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "state")
    made.start_agent()
    yield made
    made.close()


@pytest.fixture
def wagon(tmp_path: Path) -> Path:
    wheel = wheel_bytes("demo", "1.0", files=PLUGIN)
    return WagonMaker(name="demo", version="1.0", wheels={"demo-1.0-py3-none-any.whl": wheel}).write(tmp_path)


def _store(wagon: Path, folder: Path, sha256: str) -> str:
    place = folder / sha256[:2] / sha256
    place.parent.mkdir(parents=True)
    shutil.copy(wagon, place)
    return folder.as_uri()


def _task(wagon: Path, files: FilesRef, sha256: str) -> OperationTask:
    reference = WagonRef(wagon.name, sha256, wagon.stat().st_size)
    return make_task("demo_plugin.where", plugin=PluginRef("demo", "1.0", wagons=(reference,)), files=files)


def test_a_wagon_is_installed_on_demand_and_used_again(stage: Stage, tmp_path: Path, wagon: Path) -> None:
    sha256 = sha256_of(wagon)
    files = FilesRef(_store(wagon, tmp_path / "files", sha256))
    for _ in range(2):
        result = stage.dispatcher.run(_task(wagon, files, sha256), timeout_seconds=60)
        assert result.verdict is Verdict.SUCCEEDED, result.error
        prefix, sees_the_agent = result.value
        assert prefix.startswith(str(tmp_path / "state" / "plugins" / "demo"))
        assert not sees_the_agent
        shutil.rmtree(tmp_path / "files", ignore_errors=True)


def test_a_wagon_with_another_hash_than_announced_is_refused(stage: Stage, tmp_path: Path, wagon: Path) -> None:
    wrong = "1" * 64
    files = FilesRef(_store(wagon, tmp_path / "files", wrong))
    result = stage.dispatcher.run(_task(wagon, files, wrong))
    assert (result.verdict, result.proof) == (Verdict.FAILED, Proof.NEVER_STARTED)
    assert result.error is not None
    assert (result.error.type, result.error.recoverable) == ("WrongContent", False)


def test_a_wagon_that_is_not_there_is_named(stage: Stage, tmp_path: Path, wagon: Path) -> None:
    result = stage.dispatcher.run(_task(wagon, FilesRef((tmp_path / "none").as_uri()), "2" * 64))
    assert result.error is not None
    assert "2" * 64 in result.error.message


class _CutOnce(BaseHTTPRequestHandler):
    """Serves one file by ranges, asks for the token, and cuts the first transfer in the middle."""

    def __init__(self, content: bytes, seen: list[str], *arguments: object) -> None:
        self._content, self._seen = content, seen
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer the-token":
            self.send_error(401)
            return
        requested = self.headers.get("Range", "")
        self._seen.append(requested)
        begin = int(requested.partition("=")[2].rstrip("-")) if requested else 0
        rest = self._content[begin:]
        self.send_response(206 if requested else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if requested else rest[: len(rest) // 2])

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


def test_a_cut_transfer_goes_on_where_it_ended(stage: Stage, wagon: Path) -> None:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_CutOnce, wagon.read_bytes(), seen))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        files = FilesRef(f"http://127.0.0.1:{server.server_port}/files", token="the-token")
        result = stage.dispatcher.run(_task(wagon, files, sha256_of(wagon)), timeout_seconds=60)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.verdict is Verdict.SUCCEEDED, result.error
    assert seen == ["", f"bytes={wagon.stat().st_size // 2}-"]
