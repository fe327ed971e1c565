"""Subgraphs that failed and may be tried as a whole: what is left of one is replaced by what recovers it."""

from __future__ import annotations

from outrider.dispatcher import narrate
from outrider.dispatcher.alarms import Alarm, TimerKey
from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.stages import Stages
from outrider.dispatcher.store import graphs, tasks
from outrider.dispatcher.store.tasks import TaskState
from outrider.dispatcher.timers import Timers
from outrider.dispatcher.turn import Turn
from outrider.dispatcher.workflows.errors import WorkflowError
from outrider.dispatcher.workflows.graph import Subgraph, TaskGraph


class Subgraphs:
    """Holds failed subgraphs back, and replaces them."""

    def __init__(self, settings: EngineSettings, timers: Timers[TimerKey], stages: Stages) -> None:
        self._settings = settings
        self._timers = timers
        self._stages = stages

    def hold(self, run: Run, position: int) -> bool:
        """Arrange that the subgraph of a failed task is replaced once nothing of it runs; False = it cannot be."""
        if run.workflow.recover is None or run.cancel is not None:
            return False
        config = {} if run.model is None else run.model.config
        limit = int(config.get("subgraph_retries", self._settings.subgraph_retries))
        subgraph = run.current.recoverable(position, limit if limit >= 0 else 1_000_000)
        if subgraph is None:
            return False
        run.recovering[subgraph.id] = subgraph
        run.held.update(run.current.members(subgraph.id))
        return True

    def replace_failed(self, turn: Turn, run: Run) -> None:
        """Replace the subgraphs that wait for it, as far as nothing of them runs any more."""
        graph = run.current
        for subgraph in list(run.recovering.values()):
            if run.cancel is not None or run.workflow.recover is None or run.model is None:
                return
            members = graph.members(subgraph.id)
            if any(graph.states[each] is TaskState.SENDING for each in members):
                continue
            del run.recovering[subgraph.id]
            try:
                replacement = run.workflow.recover(subgraph.recovery or "", subgraph, run.model.view())
            except WorkflowError as error:
                run.failures.append(f"subgraph {subgraph.id!r} cannot be recovered: {error}")
                run.failed_at = run.failed_at or turn.now
                continue
            self.replace(turn, run, subgraph, replacement)
            narrate.about_execution(turn, run, "workflow_event", f"Recovering subgraph {subgraph.id!r}")

    def replace(self, turn: Turn, run: Run, subgraph: Subgraph, replacement: TaskGraph) -> range:
        """Put a graph in a subgraph's place, of which nothing runs; returns the positions of the new tasks."""
        graph = run.current
        members = graph.members(subgraph.id)
        for each in members:
            self._timers.drop((Alarm.RETRY, run.id, each))
        new, changed = graph.replace(subgraph, replacement)
        self._stages.store_tasks(turn, run, new)
        for each in members:
            turn.save_task(run, each)
        tasks.set_dependencies(turn.connection, {graph.task_id(each): graph.dependencies[each] for each in changed})
        graphs.set_subgraphs(turn.connection, graph.id, graph.stored_subgraphs())
        return new
