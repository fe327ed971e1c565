# /// script
# requires-python = ">=3.9"
# dependencies = []
# ///
"""A plugin for the fault tests that are not about ledgers: secrets, blueprint resources, results without measure."""

import hashlib
import time
from pathlib import Path

from outrider.plugins.sdk import ctx, operation


@operation
def use_secret(password, began, go_on, **_):
    """Prove that the value arrived, without telling it; wait, so that it can be looked for meanwhile."""
    ctx.logger.info("the password has %d characters", len(password))
    Path(began).touch()
    deadline = time.monotonic() + 120
    while not Path(go_on).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return hashlib.sha256(password.encode()).hexdigest()


@operation
def read_resource(path, **_):
    """Return what a file of the blueprint says."""
    return ctx.get_resource(path).decode()


@operation
def return_much(mib, **_):
    """Return more than a message may hold."""
    return "x" * (mib * 2**20)


@operation
def succeed(**_):
    """Return at once."""
    return "fine"
