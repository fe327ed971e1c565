"""The `outrider` command as a process that tells what it has loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

#: Runs the command, then tells on the last line of standard error what it loaded.
TELL = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from outrider.cli.main import main
main()
"""


def started(home: Path, *arguments: str, code: int = 0, **environment: str) -> tuple[str, set[str]]:
    """Run the command; returns what it printed, and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", TELL, *arguments],
        env={**os.environ, "OUTRIDER_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2000:]
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))
