"""Tells agents, when a graph begins, which plugins its later operations need: they install and import them meanwhile.

Called by the engine. A hint that nobody waits for: what is lost costs an operation the time of an install, as ever.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from outrider.dispatcher import control
from outrider.dispatcher import operation as operations
from outrider.dispatcher.attempts import AttemptMaker
from outrider.dispatcher.errors import OperationRefused
from outrider.dispatcher.graph_run import is_operation
from outrider.dispatcher.run import Run
from outrider.dispatcher.turn import Turn
from outrider.messaging.codec import to_json
from outrider.messaging.messages import ControlKind, PluginRef

#: Operations that are looked at; what a larger graph needs only later, it finds then.
MOST_OPERATIONS = 2000


class Prewarming:
    """Sends the hints of one dispatcher."""

    def __init__(self, maker: AttemptMaker, dispatcher_id: str) -> None:
        self._maker = maker
        self._id = dispatcher_id

    def tell(self, turn: Turn, run: Run) -> None:
        """Tell each agent what it will need; not of the first operation's plugin, for that operation comes at once."""
        if run.execution.dry_run:
            return
        needs: dict[tuple[str, str], PluginRef] = {}
        for task in islice(filter(is_operation, run.current.tasks), MOST_OPERATIONS):
            try:
                operation = operations.find(run, task)
                agent_id = self._maker.agent_of(run, task, operation)
                plugin = self._maker.plugin_of(turn, run, operation)
            except OperationRefused:
                # It says so itself when its turn comes; until then a host may have got its agent.
                continue
            needs.setdefault((agent_id, f"{plugin.name} {plugin.version}"), plugin)
        for (agent_id, _), plugin in islice(needs.items(), 1, None):
            if not plugin.builtin:
                # Without the details: they may hold what only an operation is to see.
                payload = {
                    "plugin": to_json(replace(plugin, details={})),
                    "files": to_json(self._maker.files(agent_id)),
                }
                turn.notes.append(control.request(ControlKind.PREPARE, agent_id, self._id, payload=payload))
