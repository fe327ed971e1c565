"""What the engine knows of agents while it sends: their journals' epochs, and how much each of them holds."""

from __future__ import annotations

from collections import Counter, deque

from outrider.dispatcher.run import Run
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store.agents import Agent


class Fleet:
    """Agents in memory; the truth is in the store's `agents`."""

    def __init__(self, settings: EngineSettings) -> None:
        self._limit = settings.max_open_per_agent
        self._epochs: dict[str, str | None] = {}
        self._fenced: set[str] = set()
        #: Fenced agent → the engine's time when it was first looked for who waits for it in vain.
        self._missed_since: dict[str, float] = {}
        self._open: Counter[str] = Counter()
        #: Agent → tasks that wait for its room, each with the engine's time since when.
        self._waiting: dict[str, deque[tuple[Run, int, float]]] = {}

    def learn(self, agent: Agent) -> None:
        """Take over what the store says of an agent."""
        self._epochs[agent.id] = agent.journal_epoch
        if agent.fenced:
            self._fenced.add(agent.id)
        else:
            self._fenced.discard(agent.id)
            self._missed_since.pop(agent.id, None)

    def epoch(self, agent_id: str) -> str | None:
        """Return the epoch of an agent's journal; None while it was not heard of."""
        return self._epochs.get(agent_id)

    def has_room(self, agent_id: str) -> bool:
        """Return whether an agent may be sent one more attempt."""
        return self._open[agent_id] < self._limit and agent_id not in self._fenced

    def opened(self, agent_id: str) -> None:
        """Count an attempt that was made."""
        self._open[agent_id] += 1

    def closed(self, agent_id: str) -> list[tuple[Run, int]]:
        """Count an attempt that ended; return tasks that waited for its room."""
        self._count_down(agent_id)
        return self.pop_waiting(agent_id)

    def pop_waiting(self, agent_id: str) -> list[tuple[Run, int]]:
        """Return the tasks that may be sent now, in the order in which they came."""
        waiting = self._waiting.get(agent_id)
        if not waiting or agent_id in self._fenced:
            return []
        room = self._limit - self._open[agent_id]
        found = [waiting.popleft()[:2] for _ in range(min(room, len(waiting)))]
        if not waiting:
            del self._waiting[agent_id]
        return found

    def wait_for_room(self, agent_id: str, run: Run, position: int, *, now: float) -> None:
        """Remember a task until its agent has room."""
        self._waiting.setdefault(agent_id, deque()).append((run, position, now))

    def pop_vain(self, *, now: float, patience_seconds: float) -> list[tuple[str, Run, int]]:
        """Return, and forget, who has waited so long for agents that could not be trusted all the while: they are gone.

        Called at every look into the store.
        """
        found = []
        for agent_id in self._fenced & self._waiting.keys():
            waiting, since = self._waiting[agent_id], self._missed_since.setdefault(agent_id, now)
            while waiting and max(waiting[0][2], since) <= now - patience_seconds:
                found.append((agent_id, *waiting.popleft()[:2]))
            if not waiting:
                del self._waiting[agent_id]
        return found

    def has_waiting(self, run: Run) -> bool:
        """Return whether tasks of an execution wait for an agent's room."""
        return any(entry[0] is run for waiting in self._waiting.values() for entry in waiting)

    def forget_waiting(self, run: Run) -> None:
        """Drop an execution's waiting tasks."""
        for agent_id in list(self._waiting):
            kept = deque(entry for entry in self._waiting[agent_id] if entry[0] is not run)
            if kept:
                self._waiting[agent_id] = kept
            else:
                del self._waiting[agent_id]

    def forget(self, run: Run) -> list[tuple[Run, int]]:
        """Drop everything of an execution that is not ours any more; return others' tasks that waited for its room."""
        self.forget_waiting(run)
        for attempt in run.open.values():
            self._count_down(attempt.agent_id)
        return [
            each for agent_id in {each.agent_id for each in run.open.values()} for each in self.pop_waiting(agent_id)
        ]

    def _count_down(self, agent_id: str) -> None:
        self._open[agent_id] -= 1
        if self._open[agent_id] <= 0:
            del self._open[agent_id]
