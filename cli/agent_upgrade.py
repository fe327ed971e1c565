"""`outrider agent upgrade --on …`: upgrades agents over their control queues, with no way into their hosts.

The bundle goes into the dispatcher's files, where the agent fetches it. The new version is kept only if it answers and
runs a small operation; an agent that is not told so brings the old one back by itself, whatever becomes of us.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import typer

from outrider.cli.agent_gate import run_test_operation
from outrider.cli.chosen_agents import NoAgents, choose_living
from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import Local, opened, transport_of
from outrider.cli.output import console, errors, fail, print_table
from outrider.cli.settings import command_settings
from outrider.cli.waterfall import seconds
from outrider.dispatcher.asking import AgentQuestions, agent_questions
from outrider.dispatcher.errors import AgentSilent, DispatcherError
from outrider.dispatcher.store import agents
from outrider.installer import Bundle, GateFailed, InstallerError, Target, target_of
from outrider.messaging.codec import to_json
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import ControlKind

#: Within this time after the switch somebody has to say that the new version works.
GATE_SECONDS = 180.0
#: For fetching the bundle, which the agent answers after, and for making an environment of it.
BEGIN_SECONDS, INSTALL_SECONDS = 300.0, 600.0
_POLL_SECONDS = 0.5
PARALLEL = 20

Say = Callable[[str], None]


class NotUpgraded(DispatcherError):
    """The agent runs its old version, or it is not known which; the text says why."""


@dataclass(frozen=True)
class AgentUpgrade:
    """How the upgrade of one agent ended."""

    agent: str
    before: str = ""
    version: str = ""
    changed: bool = False
    seconds: float = 0.0
    error: str = ""


@dataclass
class Upgrading:
    """One agent's way to the new version."""

    local: Local
    questions: AgentQuestions
    bundle: Bundle
    agent_id: str
    gate_seconds: float = GATE_SECONDS
    say: Say = lambda _text: None
    _id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def run(self) -> AgentUpgrade:
        """Upgrade; raises `DispatcherError` (`NotUpgraded` …), `InstallerError`, `MessagingError`."""
        began = time.monotonic()
        before = self._begin()
        self.say(f"{self.agent_id}  has the bundle")
        note = self._awaited({"switched", "done"}, INSTALL_SECONDS + self.gate_seconds, answered_by_new=True)
        changed = note["version"] != before
        if changed:
            self.say(f"{self.agent_id}  runs {note['version']}")
            self._judge(note["version"])
            self._awaited({"done"}, self.gate_seconds)
        return AgentUpgrade(self.agent_id, before, note["version"], changed, time.monotonic() - began)

    def _begin(self) -> str:
        host = self.bundle.select(self._target())
        content = self.local.dispatcher.content
        content.put_bytes(host.data, expected=host.sha256)
        payload = {
            "step": "begin",
            "id": self._id,
            "sha256": host.sha256,
            "program": content.put_bytes(self.bundle.host_program).sha256,
            "version": host.version,
            "gate_seconds": self.gate_seconds,
            "files": to_json(self.local.dispatcher.files_for(self.agent_id)),
        }
        return str(self._ask(payload, BEGIN_SECONDS)["before"])

    def _target(self) -> Target:
        """Return what the agent's host needs, by its last heartbeat."""
        with self.local.dispatcher.database.read() as connection:
            known = agents.by_ids(connection, [self.agent_id]).get(self.agent_id)
        if known is None or known.heartbeat is None:
            raise AgentSilent(f"agent {self.agent_id!r} was never heard of: see `outrider agent list`")
        return target_of(str(known.heartbeat["python"]), known.heartbeat["tags"])

    def _awaited(self, phases: set[str], limit_seconds: float, *, answered_by_new: bool = False) -> Mapping[str, Any]:
        """Return the agent's note once the upgrade is in one of the phases; an agent between versions is silent."""
        deadline = time.monotonic() + limit_seconds
        note: Mapping[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                note = self._ask({"step": "status"}, 5.0)
            except AgentSilent:
                continue
            phase, mine = note.get("phase"), note.get("id") == self._id
            if mine and phase in {"failed", "rolled back", "stuck"}:
                raise NotUpgraded(f"{self.agent_id}: {phase}: {note.get('error')}")
            if mine and phase in phases and (not answered_by_new or note["running"] == note["version"]):
                return note
            time.sleep(_POLL_SECONDS)
        raise NotUpgraded(
            f"{self.agent_id}: not known to be upgraded after {limit_seconds:g} s (last heard of it: "
            f"{note.get('phase', 'nothing')}); unless it is told otherwise it goes back to its old version by itself"
        )

    def _judge(self, version: str) -> None:
        """Run a small operation on the new version, and tell it to stay, or to go."""
        decision: dict[str, Any] = {"step": "decide", "id": self._id, "keep": True}
        try:
            run_test_operation(self.local.dispatcher, self.agent_id)
        except GateFailed as error:
            decision |= {"keep": False, "reason": error.message}
        self._ask(decision, 30.0)
        if decision["keep"]:
            self.say(f"{self.agent_id}  {version} works and stays")

    def _ask(self, payload: Mapping[str, Any], timeout_seconds: float) -> Mapping[str, Any]:
        return self.questions.ask(self.agent_id, ControlKind.UPGRADE, payload, timeout_seconds=timeout_seconds)


def over_broker(on: Sequence[str], bundle: Bundle, *, every: bool) -> None:
    """Upgrade the agents that the options mean, and print how it went; ends the command with its exit code."""
    settings = command_settings()
    if settings.embedded:
        fail("agents are upgraded over a broker: set OUTRIDER_BROKER_URLS, or name hosts to do it by SSH")
    central = settings.engine.central_agent
    try:
        with (
            opened(settings) as local,
            closing(transport_of(settings, name="outrider agent upgrade")) as transport,
            agent_questions(transport) as questions,
        ):
            chosen = choose_living(local.dispatcher.database, on, every=every, central=central, patient=True)
            with ThreadPoolExecutor(min(PARALLEL, max(1, len(chosen.agents)))) as pool:
                done = list(pool.map(lambda name: _one(Upgrading(local, questions, bundle, name)), chosen.agents))
    except (DispatcherError, MessagingError, NoAgents) as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    done += [AgentUpgrade(name, error="not heard of lately") for name in chosen.silent]
    report(done)
    if any(each.error for each in done):
        raise typer.Exit(ExitCode.FAILED)


def _one(upgrading: Upgrading) -> AgentUpgrade:
    began = time.monotonic()
    try:
        return upgrading.run()
    except (DispatcherError, InstallerError, MessagingError) as error:
        return AgentUpgrade(upgrading.agent_id, seconds=time.monotonic() - began, error=str(error))


def report(done: Sequence[AgentUpgrade]) -> None:
    """Print a line per agent, and why the others are not upgraded."""
    for each in done:
        if each.error:
            errors.print(each.error, style="red", markup=False, soft_wrap=True)
    rows = [
        (
            each.agent,
            "not upgraded" if each.error else "upgraded" if each.changed else "had it already",
            each.before or "–",
            each.version or "–",
            seconds(each.seconds),
        )
        for each in done
    ]
    print_table(("agent", "outcome", "before", "now", "took"), rows, empty="no agents")
    console.print(f"{sum(not each.error for each in done)} of {len(done)} agents run the bundle's version")
