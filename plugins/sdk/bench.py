"""Runs one operation with a made-up context in the plugin's environment: ``python -m outrider.plugins.sdk.bench FILE``.

`outrider plugin run` starts it. FILE holds ``{"operation", "inputs", "properties", …}``, the arguments of
`outrider.plugins.sdk.testing.call` as JSON, and gets the outcome in its place; what the operation prints goes where
this process prints.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from outrider.plugins.sdk.testing import OperationRun, call


def main(file: Path) -> None:
    """Read what to call, call it, write what came of it."""
    given = json.loads(file.read_text(encoding="utf-8"))
    run = call(given.pop("operation"), **given)
    file.write_text(json.dumps(_described(run)), encoding="utf-8")


def _described(run: OperationRun) -> dict[str, object]:
    return {
        "verdict": run.verdict,
        "value": run.value,
        "error": run.error,
        "logs": [asdict(line) for line in run.logs],
        "events": [list(event) for event in run.events],
        "runtime_properties": run.stored,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
