"""Operations that behave and misbehave, for tests of the agent: run by a builtin plugin from PYTHONPATH.

Standard library only: it is imported in runners.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from outrider.plugins.sdk import ctx, operation
from outrider.plugins.sdk.errors import NonRecoverableError


@operation
def succeed(value=None, **_):
    return value


@operation
def list_descriptors(**_):
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()).partition(":")[0])
        except FileNotFoundError:
            continue  # it was open while they were listed
    return sorted(found)


@operation
def append_line(path, line, **_):
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


@operation(resumable=True)
def append_line_again(path, line, **_):
    append_line(path, line)


@operation
def mark_sigterm(marker, **_):
    path = Path(marker)
    signal.signal(signal.SIGTERM, lambda _number, _frame: path.write_text("SIGTERM"))
    path.write_text("running")
    while True:
        time.sleep(60)


@operation
def fail(message="it does not work", **_):
    raise RuntimeError(message)


@operation
def fail_for_good(**_):
    raise NonRecoverableError("it will never work")


@operation
def retry_later(**_):
    return ctx.operation.retry(message="not yet", retry_after=7)


@operation
def return_object(**_):
    return object()


@operation
def leave_process(status=3, **_):
    os._exit(status)


@operation
def use_memory(mib, **_):
    kept = [bytearray(2**20) for _ in range(mib)]
    for block in kept:
        block[::4096] = b"x" * len(block[::4096])
    time.sleep(60)


@operation
def print_much(mib, **_):
    line = "x" * 1023 + "\n"
    for _ in range(mib * 1024):
        sys.stdout.write(line)
    sys.stdout.write("the last line\n")


@operation
def print_little(**_):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    subprocess.run(["/bin/echo", "from below"], check=True)


@operation
def wait_for(path, started=None, **_):
    """Touch `started`, then wait until `path` exists."""
    if started:
        Path(started).write_text(str(os.getpid()))
    deadline = time.monotonic() + 60
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return "saw it"


@operation
def wait_and_fail(path, started, **_):
    """Fail after `wait_for`."""
    wait_for(path, started)
    raise RuntimeError("it does not work")


@operation
def print_before_and_after(started, path, lines, **_):
    """Print on both sides of `wait_for`; more than a pipe holds, and through another process too."""
    print("before")
    wait_for(path, started)
    for number in range(lines):
        print(f"line {number}")
    subprocess.run(["echo", "by a process of its own"], check=True)


@operation
def ignore_sigterm(started, **_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(started).write_text(str(os.getpid()))
    time.sleep(120)


_DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(300)
"""


def _daemonise(pid_file, clean_environment):
    command = [sys.executable, "-c", _DAEMON, pid_file]
    subprocess.run(command, check=True, env={} if clean_environment else None)
    deadline = time.monotonic() + 20
    while not (Path(pid_file).exists() and Path(pid_file).read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)


@operation
def daemonise_and_wait(pid_file, **_):
    _daemonise(pid_file, clean_environment=True)
    time.sleep(120)


@operation
def daemonise_and_return(pid_file, **_):
    _daemonise(pid_file, clean_environment=False)


@operation
def daemonise_on_a_full_disk(pid_file, **_):
    """Return though nothing can be written any more, its result least of all."""
    from outrider.agent.runner import operation as running

    def refuse(path, *_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    _daemonise(pid_file, clean_environment=False)
    running.write_aside = refuse
    return "done"


@operation
def daemonise_and_fail(pid_file, **_):
    _daemonise(pid_file, clean_environment=True)
    raise RuntimeError("after making a daemon")


@operation
def log_lines(count, **_):
    for number in range(count):
        ctx.logger.info("line %d", number)


@operation
def set_property_and_die(**_):
    ctx.instance.runtime_properties["resource_id"] = "i-123"
    ctx.instance.update()
    os._exit(9)


@operation
def show_inputs(**inputs):
    inputs.pop("ctx", None)
    return inputs


@operation
def count_characters(a, b, c, **_):
    return {"a": len(a), "b": len(b[0]), "c": c}


@operation
def log_and_wait(path, started, count, **_):
    for number in range(count):
        ctx.logger.info("line %d", number)
    wait_for(path, started)
    for number in range(count):
        ctx.logger.info("line %d after", number)
