"""Work that a command has done through the store: by dispatchers that live, or, where none does, by one of its own.

So a command beside a manager or a dispatcher's service needs neither engine nor broker of its own, and starts fast. One
that is left by the dispatcher that did its work takes it up itself. Used by `outrider exec`.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from outrider.cli.local import Local, opened
from outrider.cli.settings import CommandSettings
from outrider.cli.stores import open_database
from outrider.dispatcher import wishes
from outrider.dispatcher.doorbell import Doorbell, For, ring
from outrider.dispatcher.store import ownership
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.executions import Cancel, Execution

#: How often it is asked whether a dispatcher lives.
CHECK_SECONDS = 1.0
TENANT = "default_tenant"


@dataclass(frozen=True)
class Operation:
    """What to run on agents."""

    #: The plugin's entry as blueprints have it, with what was built of its source.
    plugin: Mapping[str, Any]
    name: str
    inputs: Mapping[str, Any]
    timeout_seconds: float | None = None


class Sequencing:
    """Starts operations and cancels them, and sees to it that somebody does what it asks for."""

    def __init__(self, settings: CommandSettings, database: Database, bell: Doorbell, stack: ExitStack) -> None:
        """Be made by `sequencing`; `stack` ends the dispatcher of this process, if it comes to that."""
        self.settings = settings
        self.database = database
        self._bell, self._stack = bell, stack
        self._own: Local | None = None
        self._check_at = 0.0

    def start(self, agent_ids: Sequence[str], operation: Operation) -> list[Execution]:
        """Have an operation run on each of the agents; one execution each, in their order."""
        asked = (agent_ids, operation.plugin, operation.name, operation.inputs)
        if self._own is not None:
            return self._own.dispatcher.start_operations(*asked, timeout=operation.timeout_seconds)
        started = wishes.start_operations(self.database, *asked, timeout=operation.timeout_seconds, tenant=TENANT)
        self._tell()
        return started

    def cancel(self, execution_id: str, kind: Cancel) -> None:
        """Have an execution cancelled. Raises `Conflict` if it has ended."""
        wishes.cancel(self.database, execution_id, kind, decided_by=getpass.getuser())
        self._tell()

    def pause(self, longest_seconds: float) -> None:
        """Wait until an execution has ended, or for so long. Raises what `ensure` raises."""
        self.ensure()
        self._bell.wait(longest_seconds)

    def ensure(self) -> None:
        """Start one's own dispatcher if none lives. Raises `DispatcherError`, `MessagingError`, `AgentError`."""
        if self._own is not None or time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + CHECK_SECONDS
        with self.database.read() as connection:
            now = self.database.now(connection)
            leases = [member.lease_until - now for member in ownership.members(connection)]
        engine = self.settings.engine
        # Renewed within two renewals: one that was killed counts for seconds only, not for the whole of its lease.
        if not any(left > engine.owner_lease_seconds - 2 * engine.owner_renewal_seconds for left in leases):
            self.begin_own()

    def begin_own(self) -> Local:
        """Start the dispatcher of this process, or return it."""
        if self._own is None:
            self._own = self._stack.enter_context(opened(self.settings))
        return self._own

    def _tell(self) -> None:
        if self._own is None:
            ring(self.settings.home.bells, For.DISPATCHERS)
        else:
            self._own.dispatcher.look()


@contextmanager
def sequencing(settings: CommandSettings) -> Iterator[Sequencing]:
    """Open the store for the time of the block; nothing runs before `ensure`, `begin_own` or a `pause`."""
    with (
        closing(open_database()) as database,
        closing(Doorbell(settings.home.bells, For.FOLLOWERS)) as bell,
        ExitStack() as stack,
    ):
        yield Sequencing(settings, database, bell, stack)
