"""Runs one operation with a made-up context in the plugin's environment: ``python -m outrider.plugins.sdk.bench FILE``.

`outrider plugin run` starts it. FILE holds ``{"operation", "inputs", "properties", …}``, the arguments of
`outrider.plugins.sdk.testing.call` as JSON, and gets the outcome in its place, or ``{"misnamed": text}`` where there is
no such operation; what the operation prints goes where this process prints.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from outrider.plugins.sdk.calling import OperationNotLoaded
from outrider.plugins.sdk.misnamed import misnamed
from outrider.plugins.sdk.testing import OperationRun, call


def main(file: Path) -> None:
    """Read what to call, call it, write what came of it."""
    given = json.loads(file.read_text(encoding="utf-8"))
    operation = given.pop("operation")
    run = call(operation, **given)
    mistake = None
    if run.error is not None and run.error["type"] == OperationNotLoaded.__name__:
        mistake = misnamed(operation)
    outcome = _described(run) if mistake is None else {"misnamed": mistake}
    file.write_text(json.dumps(outcome), encoding="utf-8")


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
