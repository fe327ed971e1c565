"""The health gate of every upgrade: a version that answers stays only if it also runs a small operation.

Both ways of `outrider agent upgrade` end here: over the broker, and over SSH (`outrider.installer.upgrade`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outrider.cli.local import opened
from outrider.cli.settings import CommandSettings
from outrider.dispatcher.errors import DispatcherError
from outrider.installer import GateFailed, TestOperation
from outrider.messaging.errors import MessagingError

# What looks at hosts shares a module with what upgrades them, and needs no engine.
if TYPE_CHECKING:
    from outrider.dispatcher.dispatcher import Dispatcher

#: The agent has just started, and its host may be busy; the script itself does nothing.
TEST_SECONDS = 90.0


def run_test_operation(dispatcher: Dispatcher, agent_id: str) -> None:
    """Have the agent run a script that does nothing, in a process as any operation has. Raises `GateFailed`."""
    inputs = {"script_source": "#!/bin/sh\ntrue\n"}
    try:
        dispatcher.run_operation(
            agent_id, {"name": "script"}, "script_runner.tasks.run", inputs, timeout_seconds=TEST_SECONDS
        )
    except (DispatcherError, MessagingError) as error:
        raise GateFailed(f"the test operation failed: {error}") from error


@contextmanager
def tested(settings: CommandSettings) -> Iterator[TestOperation]:
    """Yield what tests an agent, by a dispatcher in this process. Raises `DispatcherError`, `MessagingError`."""
    with opened(settings) as local:
        yield lambda agent_id: run_test_operation(local.dispatcher, agent_id)
