"""Runs a script of the blueprint on a host, with the `ctx` command there.

The script, the `ctx` command and a Python module of the same use are sent to a folder on the host. The command's
requests come back through the SSH connection to a context server in this process, as those of local scripts do.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.script.environment import CTX_COMMAND, CTX_FUNCTION, CTX_SOCKET_URL
from outrider.plugins.script.errors import ScriptSettingsError
from outrider.plugins.script.outcome import ScriptOutcome
from outrider.plugins.script.process import STOP_GRACE_SECONDS
from outrider.plugins.script.proxy import ContextServer
from outrider.plugins.script.settings import ProcessSettings
from outrider.plugins.script.source import local_script
from outrider.plugins.ssh.access.errors import CommandAbandoned
from outrider.plugins.ssh.access.forwarding import port_on_host
from outrider.plugins.ssh.context import HostContext
from outrider.plugins.ssh.output import Shown
from outrider.plugins.ssh.remote import RemoteHost, open_host
from outrider.plugins.ssh.settings import FabricEnvironment

#: What `from cloudify import ctx` means in a Python script there.
_MODULE = Path(__file__).resolve().parent / "onhost" / "cloudify.py"
#: Starts the command with whatever Python the host has.
_COMMAND = """\
#!/bin/sh
for python in python3 /usr/libexec/platform-python; do
    command -v "$python" >/dev/null 2>&1 && exec "$python" -IS "${0%/*}/../lib/ctx_client.py" "$@"
done
echo "ctx: this host has no Python 3, which the ctx command needs" >&2
exit 127
"""
#: Settings of `process` that only scripts on hosts have.
_ONLY_HERE = ("base_dir", "ctx_server_port")


def run_remote_script(
    ctx: Any,
    environment: FabricEnvironment,
    *,
    source: Mapping[str, Optional[str]],
    process: Optional[Mapping[str, Any]],
    sudo: bool,
    shown: Shown,
    final_codes: Sequence[int],
    inputs: Mapping[str, Any],
) -> Any:
    """Run the script; see `tasks.run_script`."""
    settings, base, port = _settings(ctx, process)
    script = local_script(ctx, **source)
    outcome = ScriptOutcome()
    outcome.attach(ctx)
    with open_host(ctx, environment) as host, host.work_folder(base, sudo=sudo) as folder:
        place = f"{folder}/{script.name}"
        host.put_file(script, place)
        with _context_on_host(ctx, host, folder, port=port, wanted=settings.ctx_proxy_type != "none") as variables:
            command = _command_line(script, place, settings)
            with suppress(CommandAbandoned):
                result = host.run(
                    f"{_search_paths(folder)}\ncd {shlex.quote(settings.cwd or folder)} || exit\n{command}",
                    name=script.name,
                    sudo=sudo,
                    env={**inputs, **settings.env, **variables},
                    shown=_also_shown(settings, shown),
                    abandon_when=_Grace(outcome),
                    folder=folder,
                )
                if not outcome.stopped:
                    result.require_success(script.name, final_codes=final_codes)
    return outcome.conclude()


class _Grace:
    """Says when a script that ended its operation, and goes on, has had the time to end by itself."""

    def __init__(self, outcome: ScriptOutcome) -> None:
        self._outcome = outcome
        self._since: Optional[float] = None

    def __call__(self) -> bool:
        if not self._outcome.stopped:
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since >= STOP_GRACE_SECONDS


def _settings(ctx: Any, process: Optional[Mapping[str, Any]]) -> tuple[ProcessSettings, Optional[str], int]:
    """Return the settings of the process, the folder to work below (None: any), the host's port for `ctx` (0: any)."""
    settings, unknown = ProcessSettings.parse(process)
    unknown = [name for name in unknown if name not in _ONLY_HERE]
    if unknown:
        ctx.logger.warning("the input 'process' has settings that are not known: %s", ", ".join(unknown))
    if settings.eval_python:
        raise ScriptSettingsError("process.eval_python cannot be true: the script runs on a host, not in the operation")
    given = process or {}
    port = given.get("ctx_server_port") or 0
    if not isinstance(port, int):
        raise ScriptSettingsError(f"process.ctx_server_port is a number, not {port!r}")
    return settings, given.get("base_dir"), port


@contextmanager
def _context_on_host(ctx: Any, host: RemoteHost, folder: str, *, port: int, wanted: bool) -> Iterator[dict[str, Any]]:
    """Serve the context to the host for the time of the block; yields the variables that say where it is."""
    if not wanted:
        yield {}
        return
    host.lay_programs(folder, _client_files())
    context = HostContext(ctx, host, folder)
    with ContextServer(context) as server, port_on_host(host.connection, server.port, host_port=port) as host_port:
        yield {CTX_SOCKET_URL: f"http://127.0.0.1:{host_port}{server.path}"}


def _client_files() -> dict[str, str]:
    """Return what a script uses the context with, by path in its work folder."""
    return {
        "bin/ctx": _COMMAND,
        "bin/ctx-sh": CTX_FUNCTION.read_text(encoding="utf-8"),
        "lib/ctx_client.py": CTX_COMMAND.read_text(encoding="utf-8"),
        "lib/cloudify.py": _MODULE.read_text(encoding="utf-8"),
    }


def _search_paths(folder: str) -> str:
    binaries, library = shlex.quote(f"{folder}/bin"), shlex.quote(f"{folder}/lib")
    return f'export PATH={binaries}:"$PATH" PYTHONPATH={library}"${{PYTHONPATH:+:$PYTHONPATH}}"'


def _command_line(script: Path, place: str, settings: ProcessSettings) -> str:
    prefix = settings.command_prefix
    if prefix is None and script.suffix == ".py" and not script.read_bytes().startswith(b"#!"):
        prefix = "python3"
    return " ".join([*([prefix] if prefix else []), shlex.quote(place), *settings.args])


def _also_shown(settings: ProcessSettings, shown: Shown) -> Shown:
    for stream, wanted in ((Shown.STDOUT, settings.log_stdout), (Shown.STDERR, settings.log_stderr)):
        if not wanted:
            shown &= ~stream
    return shown
