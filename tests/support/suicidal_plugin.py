# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""A plugin whose import kills the agent that prepares it, as a broken host does."""

import os
import signal
from pathlib import Path

from outrider.plugins.sdk import operation


def kill_agent():
    """Kill the first ancestor that is an agent, and end."""
    pid = os.getppid()
    while pid > 1:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"outrider.agent" in words:
            os.kill(pid, signal.SIGKILL)
            break
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os._exit(1)


if "boot.py" in Path("/proc/self/cmdline").read_text():
    kill_agent()


@operation
def create(**_):
    """Never called."""
