"""Operations that an agent runs on its own host, about itself. Standard library only.

`stop` is how an agent leaves a host that nobody logs in to: the program that installed it was kept, and takes it away
once the result of this very operation has arrived. `restart` needs no such care: operations outlive their agent.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from outrider.plugins.sdk import NonRecoverableError, ctx, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The installer's program, where the agent came by a script (see `outrider.installer.onhost.bootstrap`).
PROGRAM = "host.pyz"
UNIT = "outrider-agent-removal"
SERVICE = "outrider-agent"
_START_SECONDS = 30


@operation(resumable=True)
def stop(**_: Any) -> None:
    """Have this agent removed from its host; one that somebody else brought stays."""
    record = ctx.instance.runtime_properties.get("cloudify_agent") or {}
    if record.get("install_method") == "provided":
        ctx.logger.info("the agent was provided: it stays on its host")
        return
    if not record.get("version"):
        # On the central agent, in place of the one that never came.
        ctx.logger.warning("the agent never reported: nothing is removed from its host")
        return
    program = _program()
    # Out of the folder that will be removed, and of that of this operation.
    folder = Path(tempfile.mkdtemp(prefix="outrider-removal-", dir="/var/tmp"))
    shutil.copy(program, folder / PROGRAM)
    (folder / "request.json").write_text(json.dumps({"attempt": ctx.attempt_id}) + "\n", encoding="utf-8")
    _start_beside(folder)
    ctx.logger.info("the agent leaves this host once this result has arrived")


@operation(resumable=True)
def restart(**_: Any) -> None:
    """Have this agent started anew; this operation goes on, and the new process reports its result."""
    respawn = Path(sys.prefix).parent.parent / "respawn.sh"
    if respawn.exists():
        _end_for_the_loop(respawn)
    elif Path(f"{sys.prefix}/..").resolve().name == "versions":
        _restart_unit()
    else:
        raise NonRecoverableError(
            f"this agent runs from {sys.prefix}, where no installer put it: start it anew as it was started"
        )
    ctx.logger.info("the agent is started anew; operations go on")


@operation(resumable=True)
def install_plugins(plugins: Any = (), **_: Any) -> None:
    """Do nothing: agents install a plugin before its first operation, and while the operations before that run."""
    ctx.logger.info("%s: installed by this agent when an operation needs it", _listed(plugins))


@operation(resumable=True)
def uninstall_plugins(plugins: Any = (), **_: Any) -> None:
    """Do nothing: other deployments may use a plugin, and agents remove environments that nobody uses."""
    ctx.logger.info("%s: removed by this agent when unused for long (environment_keep_seconds)", _listed(plugins))


def _listed(plugins: Any) -> str:
    names = [str(each.get("name") if isinstance(each, dict) else each) for each in plugins or ()]
    return f"plugins {', '.join(names)}" if names else "plugins"


def _restart_unit() -> None:
    user = [] if os.geteuid() == 0 else ["--user"]
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", **os.environ}
    command = ["systemctl", *user, "restart", "--no-block", f"{SERVICE}.service"]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    except OSError as error:
        raise NonRecoverableError(f"`{' '.join(command)}` cannot be run: {error}") from error
    if done.returncode != 0:
        raise NonRecoverableError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def _end_for_the_loop(respawn: Path) -> None:
    """End the agent; the loop that runs it starts it again."""
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text(errors="replace").rpartition(") ")[2].split()[1]
            command = (entry / "cmdline").read_bytes().split(b"\0")
            above = Path(f"/proc/{parent}/cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if b"outrider.agent" in command and str(respawn).encode() in above:
            os.kill(int(entry.name), signal.SIGTERM)
            return
    raise NonRecoverableError(f"no agent was found that {respawn} keeps running")


def _program() -> Path:
    for folder in Path(sys.prefix).parents:
        if (folder / PROGRAM).is_file():
            return folder / PROGRAM
    raise NonRecoverableError(
        f"this agent was not installed by a script (there is no {PROGRAM} above {sys.prefix}): remove it with "
        "`outrider agent uninstall`, then let this operation be skipped"
    )


def _start_beside(folder: Path) -> None:
    """Start the removal where neither the end of this operation nor that of the agent's runners reaches it."""
    # The host's own Python: the agent's environment is among what will be removed.
    python = os.path.realpath(sys.executable)
    script = '"$1" -I "$2/host.pyz" leave < "$2/request.json" > /dev/null; rm -rf "$2"'
    command = ["/bin/sh", "-c", script, "removal", python, str(folder)]
    # The marker by which the processes of an operation are found must not stick to it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")}
    if Path("/run/systemd/system").is_dir() and shutil.which("systemd-run"):
        user = [] if os.geteuid() == 0 else ["--user"]
        environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
        unit = ["systemd-run", *user, "--quiet", "--collect", f"--unit={UNIT}", "--", *command]
        done = subprocess.run(
            unit, env=environment, capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
        if done.returncode == 0 or "already" in done.stderr:
            return
        ctx.logger.warning("systemd-run failed (%s); the removal is started as a process", done.stderr.strip())
    subprocess.Popen(
        command,
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
