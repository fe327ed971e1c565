"""Ending all that an agent left running, without the agent: for its removal from a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from outrider.agent.agent import lock_state
from outrider.agent.clock import machine_id
from outrider.agent.code import copy_code
from outrider.agent.journal import Journal, State, cancel
from outrider.agent.runner.processes import boot_id
from outrider.agent.runner.tree import PROOF_NONE, Tree
from outrider.agent.runners import Runners
from outrider.agent.settings import Settings

_RUNNERS_SECONDS = 20.0


@dataclass(frozen=True)
class StopReport:
    """What was ended."""

    #: Whether nothing is left, for certain.
    proven: bool
    lines: tuple[str, ...]


def stop_everything(settings: Settings) -> StopReport:
    """End every operation and runner of this state folder; the agent must not be running (raises `StateLocked`)."""
    if not (settings.state_dir / "journal.db").exists():
        return StopReport(proven=True, lines=(f"there is no agent's state in {settings.state_dir}",))
    with lock_state(settings.state_dir):
        lines, proven = _end_operations(settings)
        ended = _runners(settings, settings.state_dir).stop_all(limit_seconds=_RUNNERS_SECONDS)
        lines.append("all runners have ended" if ended else "some runners have not ended; look for them on the host")
        return StopReport(proven=proven and ended, lines=tuple(lines))


def _end_operations(settings: Settings) -> tuple[list[str], bool]:
    journal = Journal(settings.state_dir / "journal.db", machine=machine_id())
    lines, proven = [], True
    try:
        for entry in journal.unfinished():
            if entry.state is not State.STARTING or entry.identity is None or entry.identity["boot_id"] != boot_id():
                continue
            journal.call(cancel(entry.attempt_id))
            proof = Tree.of(entry.attempt_id, entry.identity).end(grace_seconds=settings.grace_seconds)
            proven = proven and proof != PROOF_NONE
            answer = "not confirmed, processes may be left" if proof == PROOF_NONE else f"ended (proof: {proof})"
            lines.append(f"attempt {entry.attempt_id}: {answer}")
    finally:
        journal.close()
    return lines, proven


def _runners(settings: Settings, state_dir: Path) -> Runners:
    return Runners(settings, copy_code(state_dir / "sdk"))
