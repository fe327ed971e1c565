"""`python -m benchmarks` runs all benchmarks, one process each, and prints their tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What is not a benchmark of its own.
PARTS = frozenset({"__init__", "__main__", "farm", "http_load", "report", "stack"})


def main() -> int:
    """Run every benchmark; the exit code is 1 if one of them failed."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in PARTS)
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
