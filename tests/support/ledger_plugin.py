# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""A plugin whose operations write into one file what they do: the truth that verdicts are compared with.

Each line, ``<begin|held|end> <attempt id>``, is one write to a file opened for appending, so lines of several processes
never mix. `tests.support.ledger` reads them.
"""

import os
import time
from pathlib import Path

from outrider.plugins.sdk import ctx, operation

HOLD_SECONDS = 150.0


@operation
def create(folder, number, failures=0, lines=3, **_):
    """Write *begin*, wait while this operation is held (and say so), write *end*; fail the first `failures` times."""
    note(folder, "begin")
    for line in range(lines):
        ctx.logger.info("before %d of %s", line, ctx.attempt_id)
    hold = Path(folder) / f"hold-{number}"
    if hold.exists():
        note(folder, "held")
    deadline = time.monotonic() + HOLD_SECONDS
    while hold.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    for line in range(lines):
        ctx.logger.info("after %d of %s", line, ctx.attempt_id)
    ctx.instance.runtime_properties["number"] = number
    ctx.instance.runtime_properties["made_by"] = ctx.attempt_id
    note(folder, "end")
    if ctx.operation.retry_number < failures:
        raise RuntimeError(f"operation {number} fails {failures} times before it succeeds")
    return number


@operation
def look(**_):
    """Do nothing: has the plugin installed and its runner warm."""
    return "ready"


def note(folder, what):
    """Append one line, in one write."""
    descriptor = os.open(Path(folder) / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{what} {ctx.attempt_id}\n".encode())
    finally:
        os.close(descriptor)
