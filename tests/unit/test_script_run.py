"""The built-in plugin `script`: scripts as operations, and the `ctx` command inside them."""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outrider.agent.runner import processes
from outrider.plugins.script import process as process_module
from outrider.plugins.sdk.testing import OperationRun, call, instance_data
from tests.support.certificates import make_certificates
from tests.support.waiting import wait_until

RUN = "outrider.plugins.script.tasks.run"


def shell(text: str, **more: Any) -> OperationRun:
    """Run an inline shell script."""
    inputs = {"script_source": f"#!/bin/sh\n{text}", **more.pop("inputs", {})}
    return call(RUN, inputs=inputs, **more)


def python(text: str, **more: Any) -> OperationRun:
    """Run an inline Python script."""
    inputs = {"script_source": text, **more.pop("inputs", {})}
    return call(RUN, inputs=inputs, **more)


def test_a_script_of_the_blueprint_runs_with_its_inputs_as_environment() -> None:
    resources = {"scripts/show.sh": '#!/bin/sh\necho "$port $flag $list"; ctx returns "$extra"\n'}
    inputs = {
        "script_path": "scripts/show.sh",
        "port": 80,
        "flag": True,
        "list": [1, "a"],
        "process": {"env": {"extra": {"a": 1}}},
    }
    run = call(RUN, inputs=inputs, resources=resources)
    assert run.value_or_raise() == '{"a": 1}'
    assert run.messages == ['<out> 80 true [1, "a"]']


def test_the_ctx_command_reads_and_sets_properties() -> None:
    run = shell(
        """
        set -e
        ctx instance runtime-properties copied "$(ctx node properties port)"
        ctx instance runtime_properties servers[0].name web
        ctx instance runtime_properties made.on.the.way @'[1, 2]'
        ctx -j instance runtime_properties servers
        ctx returns "$(ctx instance id)"
        """,
        node=instance_data(properties={"port": 80}, runtime_properties={"servers": [{}]}),
    )
    assert run.value_or_raise() == "node_1"
    assert run.runtime_properties == {
        "copied": "80",
        "servers": [{"name": "web"}],
        "made": {"on": {"the": {"way": [1, 2]}}},
    }
    assert run.messages == ['<out> [{"name": "web"}]']


def test_the_ctx_command_logs_downloads_and_renders() -> None:
    run = shell(
        """
        set -e
        ctx logger info "hello ümlaut"
        file=$(ctx download-resource conf.txt)
        rendered=$(ctx download-resource-and-render conf.txt "$PWD/out.txt" @'{"port": 8080}')
        cat "$file" "$rendered"
        """,
        inputs={"process": {"cwd": "/tmp"}},
        resources={"conf.txt": "port={{ port }}\n"},
    )
    try:
        assert run.value_or_raise() is None
        assert run.messages == ["hello ümlaut", "<out> port={{ port }}", "<out> port=8080"]
    finally:
        Path("/tmp/out.txt").unlink(missing_ok=True)


def test_what_the_ctx_command_cannot_do_is_said_on_stderr() -> None:
    run = shell("ctx instance runtime_properties no.such; ctx no_such_thing; exit 3")
    assert run.error is not None
    assert run.messages == [
        "<err> WalkError: illegal path: no.such",
        "<err> WalkError: illegal attribute: no_such_thing (of Context)",
    ]
    assert run.error["recoverable"] is True
    assert "exit code 3" in run.error["message"]


def test_a_failed_script_is_recoverable_and_says_what_it_said_last() -> None:
    run = shell("echo fine; echo broken >&2; exit 7")
    assert run.error is not None
    assert (run.error["type"], run.error["recoverable"]) == ("ProcessException", True)
    assert "exit code 7; it said last: broken" in run.error["message"]
    assert sorted(run.messages) == ["<err> broken", "<out> fine"]


def test_a_script_can_abort_or_ask_for_a_retry() -> None:
    aborted = shell('ctx abort_operation "no more disks"')
    assert aborted.error is not None
    assert (aborted.error["message"], aborted.error["recoverable"]) == ("no more disks", False)
    retried = shell('ctx retry_operation "not up yet" 12')
    assert (retried.verdict, retried.retry_after) == ("rescheduled", 12.0)


def test_only_one_end_may_be_asked_for() -> None:
    run = shell("ctx returns 1; ctx returns 2")
    assert run.error is not None
    assert run.error["recoverable"] is False
    assert "only abort or return once" in run.error["message"]


def test_a_script_that_goes_on_after_an_abort_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_module, "STOP_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(process_module, "KILL_GRACE_SECONDS", 0.2)
    began = time.monotonic()
    note = tmp_path / "pid"
    run = shell(f"echo $$ > {note}; trap '' TERM; ctx abort_operation enough; while :; do sleep 0.1; done")
    assert run.error is not None
    assert run.error["message"] == "enough"
    pid = int(note.read_text())
    wait_until(lambda: not processes.alive(pid, processes.start_ticks(pid)), 5, "the script itself to be gone")
    assert time.monotonic() - began < 30


def test_a_bash_script_that_sources_ctx_sh_ends_with_the_ctx_that_fails() -> None:
    text = "#!/bin/bash\n. ctx-sh\nctx logger info begun\n{}\nctx logger info 'still here'\n"
    run = call(RUN, inputs={"script_source": text.format("ctx no such thing")})
    assert (run.messages[0], "still here" in run.messages) == ("begun", False)
    assert run.error is not None
    assert run.error["recoverable"]
    run = call(RUN, inputs={"script_source": text.format("ctx retry-operation 'not yet' 5")})
    assert (run.rescheduled, run.messages) == (True, ["begun", "<err> not yet"])


def test_output_of_any_kind_becomes_log_lines() -> None:
    run = shell("printf 'a\\r\\n\\377\\000b\\nno newline'; printf 'x%.0s' $(seq 40000) >&2")
    assert [line for line in run.messages if line.startswith("<out>")] == [
        "<out> a",
        "<out> \\xff\\x00b",
        "<out> no newline",
    ]
    pieces = [line[len("<err> ") :] for line in run.messages if line.startswith("<err>")]
    assert "".join(pieces) == "x" * 40000
    assert max(map(len, pieces)) <= process_module.MAX_LINE_BYTES


def test_output_can_be_kept_from_the_log_or_joined() -> None:
    quiet = shell("echo a; echo b >&2", inputs={"process": {"log_stdout": False, "log_stderr": False}})
    assert quiet.messages == []
    joined = shell("echo b >&2", inputs={"process": {"stderr_to_stdout": True}})
    assert joined.messages == ["<out> b"]


def test_a_process_that_a_script_leaves_behind_does_not_hold_the_operation(tmp_path: Path) -> None:
    began = time.monotonic()
    run = shell(f"sleep 60 & echo $! > {tmp_path}/pid; echo started")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 9)
    assert run.value_or_raise() is None
    assert time.monotonic() - began < 30


def test_arguments_prefix_and_folder_are_used(tmp_path: Path) -> None:
    run = shell(
        'echo "$1|$2|$PWD"', inputs={"process": {"args": ["a", "b"], "command_prefix": "sh", "cwd": str(tmp_path)}}
    )
    assert run.messages == [f"<out> a|b|{tmp_path}"]


def test_without_a_proxy_there_is_no_ctx_address() -> None:
    run = shell('echo "[$CTX_SOCKET_URL]"', inputs={"process": {"ctx_proxy_type": "none"}})
    assert run.messages == ["<out> []"]


def test_a_script_that_asks_nothing_has_no_server_started_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(_thread: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", started)
    assert shell('test -n "$CTX_SOCKET_URL" && echo fine').messages == ["<out> fine"]


def test_a_script_may_ask_after_it_closed_its_output() -> None:
    assert shell("exec >/dev/null 2>&1; sleep 0.5; ctx returns late").value_or_raise() == "late"


def test_the_shell_runs_what_names_no_interpreter_and_complains_of_one_that_is_not_there() -> None:
    resources = {"plain": "echo $((1 + 1))\n", "missing": "#!/no/such/interpreter\n"}
    assert call(RUN, inputs={"script_path": "plain"}, resources=resources).messages == ["<out> 2"]
    failed = call(RUN, inputs={"script_path": "missing"}, resources=resources)
    assert failed.error is not None
    assert (failed.error["exit_code"], failed.error["recoverable"]) == (127, True)


def test_a_script_that_was_killed_has_the_exit_code_that_shells_tell() -> None:
    for more in ({}, {"process": {"args": ["x"]}}):
        failed = shell("kill -KILL $$", inputs=more)
        assert failed.error is not None
        assert failed.error["exit_code"] == 137


def test_scripts_of_one_operation_have_folders_of_their_own() -> None:
    text = 'echo "${PATH%%:*} $0"'
    first, second = (shell(text).messages[0].removeprefix("<out> ").split() for _ in range(2))
    assert len({*first, *second}) == 4
    assert [Path(each).name for each in (first[1], second[1])] == ["script.sh", "script.sh"]


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({}, "exactly one of the inputs"),
        ({"script_path": "a", "script_source": "b"}, "exactly one of the inputs"),
        ({"script_source": "#!/bin/sh\nid", "process": {"ctx_proxy_type": "tcp"}}, "auto, http, none"),
        ({"script_source": "#!/bin/sh\nid", "process": {"args": "x"}}, "list of arguments"),
        ({"script_source": "#!/bin/sh\nid", "process": {"cwd": "/no/such"}}, "in /no/such"),
        ({"script_source": "#!/bin/sh\nid", "big": "x" * 3_000_000}, "big (3000000 characters)"),
        ({"script_path": "file:///no/such/script.sh"}, "cannot copy the script"),
        ({"script_path": "missing.sh"}, "no resource 'missing.sh'"),
    ],
)
def test_what_cannot_work_fails_for_good_with_its_reason(inputs: dict[str, Any], named: str) -> None:
    run = call(RUN, inputs=inputs)
    assert run.error is not None
    assert run.error["recoverable"] is False
    assert named in run.error["message"]


def test_a_misspelt_setting_is_logged() -> None:
    assert "commandprefix" in shell(":", inputs={"process": {"commandprefix": "x"}}).messages[0]


def test_a_python_script_runs_inside_the_process() -> None:
    run = python(
        """
        from outrider.plugins.sdk import ctx
        from outrider.plugins.sdk.current import current

        ctx.instance.runtime_properties["port"] = current.get().parameters["port"]
        assert __name__ == "__main__"
        ctx.returns(__file__.rsplit("/", 1)[1])
        """,
        inputs={"port": 80},
    )
    assert run.value_or_raise() == "script.py"
    assert run.runtime_properties == {"port": 80}


def test_a_python_script_ends_by_abort_retry_and_exit() -> None:
    start = "from outrider.plugins.sdk import ctx\n"
    aborted = python(start + "try:\n    pass\nfinally:\n    ctx.abort_operation('no')\nprint('not reached')")
    assert aborted.error is not None
    assert (aborted.error["message"], aborted.error["recoverable"]) == ("no", False)
    assert python(start + "ctx.retry_operation('soon', 3)").retry_after == 3.0
    assert python("import sys\nsys.exit(0)").succeeded
    failed = python("import sys\nsys.exit(4)")
    assert failed.error is not None
    assert "exit code 4" in failed.error["message"]


def test_globals_of_a_python_script_do_not_reach_the_next() -> None:
    assert python("left_over = 1").succeeded
    assert python("left_over").failed


def test_eval_python_decides_over_the_name() -> None:
    outside = call(
        RUN,
        inputs={"script_path": "a.py", "process": {"eval_python": False, "command_prefix": "python3"}, "WORD": "x"},
        resources={"a.py": "import os\nprint(os.environ['WORD'], os.getppid())"},
    )
    assert outside.messages[0].startswith("<out> x ")
    inside = call(
        RUN,
        inputs={"script_path": "a", "process": {"eval_python": True}},
        resources={"a": "from outrider.plugins.sdk import ctx\nctx.returns(__name__)"},
    )
    assert inside.value_or_raise() == "__main__"


def test_programs_of_the_plugins_environment_are_found_last() -> None:
    path = shell('echo "$PATH"').messages[0].removeprefix("<out> ").split(os.pathsep)
    assert path[-1] == str(Path(sys.executable).parent)
    assert path[0].startswith(tempfile.gettempdir())


@pytest.mark.parametrize(
    ("status", "recoverable"),
    [(404, False), (503, True), (None, True)],
    ids=["not there", "not now", "no server"],
)
def test_a_script_that_cannot_be_fetched_is_tried_again_if_that_may_help(status: int | None, recoverable: bool) -> None:
    with served({"/a.sh": b"#!/bin/sh\necho fetched\n"}, status=status) as url:
        run = call(RUN, inputs={"script_path": f"{url}/a.sh"})
    assert run.error is not None
    assert run.error["recoverable"] is recoverable
    assert f"cannot fetch the script {url}/a.sh" in run.error["message"]


def test_the_first_half_of_a_script_is_not_run() -> None:
    with served({"/a.sh": b"#!/bin/sh\necho first half\n"}, missing_bytes=100) as url:
        run = call(RUN, inputs={"script_path": f"{url}/a.sh"})
    assert run.messages == []
    assert run.error is not None
    assert run.error["recoverable"]
    assert f"cannot fetch the script {url}/a.sh: its last 100 bytes did not come" in run.error["message"]


def test_a_script_is_fetched_by_http() -> None:
    with served({"/a.sh": b"#!/bin/sh\necho fetched\n"}) as url:
        assert call(RUN, inputs={"script_path": f"{url}/a.sh?raw=1"}).messages == ["<out> fetched"]


def test_a_script_is_fetched_by_https_from_a_server_of_a_given_authority(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the test's certificates are made with it; hosts need not have it")
    authority, certificate, key = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with served({"/a.sh": b"#!/bin/sh\necho fetched\n"}, tls=context) as url:
        inputs = {"script_path": f"{url}/a.sh"}
        trusted = call(RUN, inputs={**inputs, "ssl_cert_content": authority.read_text()})
        stranger = call(RUN, inputs=inputs)
    assert trusted.messages == ["<out> fetched"]
    assert stranger.error is not None
    assert not stranger.error["recoverable"]
    assert "certificate verify failed" in stranger.error["message"]


@contextlib.contextmanager
def served(
    files: dict[str, bytes], *, status: int | None = 200, tls: ssl.SSLContext | None = None, missing_bytes: int = 0
) -> Iterator[str]:
    """Serve files for the time of the block; without a status, nobody answers. The last bytes may be missing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files[self.path.partition("?")[0]]
            self.send_response(status or 200)
            self.send_header("Content-Length", str(len(content) + missing_bytes))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    url = f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    if status is None:
        server.server_close()
        yield url
        return
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_an_inline_script_is_python_if_it_can_be_and_says_nothing_else() -> None:
    assert python("x = 1").messages == []
    assert call(RUN, inputs={"script_source": "echo one two"}).messages == ["<out> one two"]
    assert call(RUN, inputs={"script_source": "#!/bin/sh\nid"}).messages[0].startswith("<out> uid=")
