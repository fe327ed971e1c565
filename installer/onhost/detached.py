"""The agent where no service manager runs it: a detached shell loop that starts it again when it ends.

Crontab's ``@reboot`` brings it back after a reboot where there is a cron; where there is none, the installer says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time

from .errors import HostError
from .files import make_folder, write_atomic
from .layout import Layout
from .processes import locked_pid

STOP_SECONDS = 90.0
MARK = "# outrider-agent"

SCRIPT = """\
#!/bin/sh
# Written by Outrider's installer: keeps the agent running where no service manager does.
# Ends with the agent when it gets SIGTERM. One at a time: the lock is held as long as this lives.
pidfile={state}/run/respawn.pid
log={state}/agent.log
umask 022
if [ -f "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null \\
    && grep -q respawn.sh "/proc/$(cat "$pidfile")/cmdline" 2>/dev/null; then
    exit 0
fi
echo $$ > "$pidfile"
stopping=
agent=
trap 'stopping=1; [ -n "$agent" ] && kill -TERM "$agent" 2>/dev/null' TERM INT
trap '' HUP
cd {state} || exit 1
pause=1
while [ -z "$stopping" ]; do
    # The log is cut when it is long, so that a disk is never filled by it.
    if [ -f "$log" ] && [ "$(wc -c < "$log")" -gt 10485760 ]; then mv "$log" "$log.1"; fi
    started=$(date +%s)
    {python} -m outrider.agent --config {config} >> "$log" 2>&1 < /dev/null &
    agent=$!
    # A signal ends `wait`; the agent is waited for again until it has really ended.
    while kill -0 "$agent" 2>/dev/null; do wait "$agent"; done
    [ -n "$stopping" ] && break
    # Ended at once, again and again: wait longer each time, a minute at most.
    if [ $(($(date +%s) - started)) -gt 60 ]; then pause=1; fi
    sleep "$pause"
    pause=$((pause * 2))
    if [ "$pause" -gt 60 ]; then pause=60; fi
done
rm -f "$pidfile"
"""


def script_text(layout: Layout) -> str:
    """Return the loop."""
    return SCRIPT.format(state=layout.state, python=layout.python, config=layout.config)


def install(layout: Layout) -> bool:
    """Write the loop; returns whether it changed."""
    make_folder(layout.state / "run", mode=0o700)
    return write_atomic(layout.respawn, script_text(layout), mode=0o755)


def has_cron() -> bool:
    """Return whether a crontab can be had, and a cron runs that reads it."""
    if shutil.which("crontab") is None:
        return False
    listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=15, check=False)
    # 1 is also the answer of a user without a crontab yet; a user who may have none is told so.
    return "not allowed" not in listed.stderr and _cron_runs()


def _cron_runs() -> bool:
    found = subprocess.run(["ps", "-eo", "comm="], capture_output=True, text=True, timeout=15, check=False)
    return bool({"cron", "crond", "fcron"} & set(found.stdout.split()))


def enable_at_reboot(layout: Layout) -> None:
    """Have cron start the loop with the machine."""
    lines = _crontab_without(layout)
    _write_crontab([*lines, f"@reboot {layout.respawn} >/dev/null 2>&1 {MARK}"])


def disable_at_reboot(layout: Layout) -> None:
    """Undo `enable_at_reboot`."""
    if shutil.which("crontab") is None:
        return
    listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=15, check=False)
    if MARK in listed.stdout:
        _write_crontab(_crontab_without(layout))


def _crontab_without(layout: Layout) -> list[str]:
    listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, timeout=15, check=False)
    return [line for line in listed.stdout.splitlines() if not (MARK in line and str(layout.respawn) in line)]


def _write_crontab(lines: list[str]) -> None:
    # An empty crontab is removed: uninstalling leaves what was there before.
    command, text = (["crontab", "-"], "\n".join(lines) + "\n") if lines else (["crontab", "-r"], "")
    answer = subprocess.run(command, input=text, capture_output=True, text=True, timeout=15, check=False)
    if answer.returncode != 0:
        raise HostError("service", f"crontab failed: {answer.stderr.strip()}", "see whether this user may use crontab")


def restart(layout: Layout) -> None:
    """End the loop and its agent, if they run, and start them."""
    stop(layout)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    subprocess.Popen(
        ["/bin/sh", str(layout.respawn)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
        cwd="/",
    )


def stop(layout: Layout) -> None:
    """End the loop, which ends its agent."""
    pid = loop_pid(layout)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while loop_pid(layout) is not None:
        if time.monotonic() >= deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.1)


def loop_pid(layout: Layout) -> int | None:
    """Return the process of the loop, if it runs."""
    pid = locked_pid(layout.state / "run" / "respawn.pid")
    if pid is None:
        return None
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123 - read whole, once
            return pid if str(layout.respawn).encode() in stream.read() else None
    except OSError:
        return None


def remove(layout: Layout) -> None:
    """Forget the loop."""
    disable_at_reboot(layout)
    layout.respawn.unlink(missing_ok=True)


def state(layout: Layout) -> str:
    """Return ``active`` or ``inactive``."""
    return "active" if loop_pid(layout) is not None else "inactive"


def starts_again(layout: Layout) -> int:  # noqa: ARG001 - both kinds of service have one signature
    """Return 0: the loop counts as active whatever becomes of the agent, so nobody waits for it."""
    return 0


def log_tail(layout: Layout, lines: int) -> str:
    """Return the last lines of the agent's log."""
    try:
        text = (layout.state / "agent.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
