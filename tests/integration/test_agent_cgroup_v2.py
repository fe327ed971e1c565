"""Control groups of version 2 by the kernel, as on a host that has nothing else.

A mount namespace of its own shows a process version 2 alone, whatever the machine's own mounts are. Limits of memory
are not tested here: where the machine's memory controller serves version 1, version 2 has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

#: Only version 2, at the usual place, seen by nobody else.
ALONE = 'umount --recursive --lazy /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
SCRIPT = """
import json, os, subprocess, sys, time
from outrider.agent.runner import cgroups

groups = cgroups.detect("outrider-v2test%d-" % os.getpid())
group = groups.create(memory_limit_bytes=None)
# A daemon: forked twice, in a session of its own, with nothing left that leads to it.
daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); "
daemon += "print(os.getpid(), flush=True); os.close(1); time.sleep(600)"
started = subprocess.Popen([sys.executable, "-c", daemon], preexec_fn=group.enter, stdout=subprocess.PIPE)
pid = int(started.stdout.readline())
started.wait()
deadline = time.monotonic() + 30
while group.pids() != [pid] and time.monotonic() < deadline:
    time.sleep(0.02)
inside = group.pids()
orphan = open("/proc/%d/stat" % inside[0]).read().rpartition(") ")[2].split()[1]
empty = group.kill(limit_seconds=30)
deadline = time.monotonic() + 10
while not group.remove() and time.monotonic() < deadline:
    time.sleep(0.02)
print(json.dumps({
    "version": group.version, "alone": inside == [pid], "orphan": orphan != str(os.getpid()), "empty": empty,
    "gone": not os.path.exists(group.tracking),
}))
"""


def test_a_daemon_is_found_in_its_group_and_ended() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare (util-linux) to show a process control groups of version 2 alone")
    command = ["unshare", "--mount", "sh", "-c", ALONE, "alone", sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "mount:" in done.stderr:
        pytest.skip(f"version 2 of control groups cannot be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"version": 2, "alone": True, "orphan": True, "empty": True, "gone": True}
