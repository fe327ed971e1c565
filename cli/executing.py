"""What `outrider exec` does: which operation, on which agents, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from outrider.agent.errors import AgentError
from outrider.cli import fan_out
from outrider.cli.chosen_agents import Chosen, NoAgents, choose_living, is_pattern
from outrider.cli.execution import EXIT_CODES
from outrider.cli.exit_codes import ExitCode
from outrider.cli.follow import HIDDEN_EVENTS, follow, spans_of
from outrider.cli.interrupt import cancel_on_interrupt
from outrider.cli.local import SourceBuilder
from outrider.cli.logs import configure_logging
from outrider.cli.output import console, errors, fail, key_values, print_json
from outrider.cli.progress import display_for
from outrider.cli.sequencing import Operation, Sequencing, sequencing
from outrider.cli.settings import command_settings
from outrider.dispatcher.errors import DispatcherError
from outrider.dispatcher.store import attempts
from outrider.dispatcher.store.executions import Execution
from outrider.messaging.errors import MessagingError
from outrider.plugins.wagons.errors import WagonError

#: The workflow around one operation is nothing to its user; how the operation ends is told by `report`.
HIDDEN = HIDDEN_EVENTS | {"workflow_started", "workflow_succeeded", "workflow_failed", "task_succeeded", "task_failed"}


@dataclass(frozen=True)
class Asked:
    """What the options say about the operation."""

    operation: str
    #: A known package, or a file or folder to build; None for a shell command.
    plugin: str | None = None
    version: str | None = None
    inputs: Sequence[str] = ()
    timeout_seconds: float | None = None

    @property
    def source(self) -> Path | None:
        """The plugin's source, if it has to be built."""
        return Path(self.plugin).resolve() if self.plugin is not None and Path(self.plugin).exists() else None


def execute(asked: Asked, on: Sequence[str], *, every: bool, json: bool) -> ExitCode:
    """Run it and show it; returns the exit code, or ends the command with the reason why there is nothing to show."""
    settings = command_settings()
    configure_logging(settings.connection.log_level, follows=True)
    given = key_values(asked.inputs, what="input")
    try:
        with sequencing(settings) as work:
            operation = what_to_run(work, asked, given, quiet=json)
            work.ensure()
            chosen = chosen_agents(work, on, every=every)
            if len(chosen.agents) == 1 and not chosen.silent and not every and list(on) in ([], list(chosen.agents)):
                return run_on_one(work, chosen.agents[0], operation, json=json)
            outcomes = fan_out.run_on_all(work, chosen, operation, json=json)
            fan_out.report(outcomes, json=json)
            return fan_out.exit_code(outcomes)
    except (AgentError, DispatcherError, MessagingError, WagonError, NoAgents) as error:
        fail(str(error))


def chosen_agents(work: Sequencing, on: Sequence[str], *, every: bool) -> Chosen:
    """Return the agents that the options mean; raises `NoAgents`."""
    central = work.settings.engine.central_agent
    if not on and not every:
        return Chosen((central,))
    # Without a broker there is no host to be heard of, and the agent of this process is heard at once.
    patient = any(map(is_pattern, on)) or not work.settings.embedded
    return choose_living(work.database, on, every=every, central=central, patient=patient, pause=work.pause)


def run_on_one(work: Sequencing, agent_id: str, operation: Operation, *, json: bool) -> ExitCode:
    """Run it on one agent, shown as any execution is; returns the exit code."""
    (started,) = work.start((agent_id,), operation)
    with cancel_on_interrupt(work.cancel, (started.id,)), display_for(console, json=json) as display:
        ended = follow(work.database, started.id, display, hidden=HIDDEN, pause=work.pause)
    report(work, ended, json=json)
    return EXIT_CODES.get(ended.status, ExitCode.FAILED)


def what_to_run(work: Sequencing, asked: Asked, inputs: dict[str, object], *, quiet: bool) -> Operation:
    """Return the operation; builds the plugin if it is a source."""
    if asked.plugin is None:
        return shell_command(asked.operation, inputs, asked.timeout_seconds)
    path = asked.source
    if path is None:
        entry: dict[str, object] = {
            "name": asked.plugin,
            "package_name": asked.plugin,
            "package_version": asked.version,
        }
        return Operation(entry, asked.operation, inputs, asked.timeout_seconds)
    from outrider.cli.plugin import show_progress

    # What is built lies in this home's files: a dispatcher elsewhere might not have them, so it is run from here.
    own = work.begin_own()
    builder = SourceBuilder(own.dispatcher.content, work.settings.home.builds, None if quiet else show_progress)
    built = builder({"name": path.stem, "source": path.name}, path.parent)
    entry = {"name": path.stem, "source": path.name, "built": built}
    return Operation(entry, asked.operation, inputs, asked.timeout_seconds)


def shell_command(text: str, inputs: Mapping[str, object], timeout_seconds: float | None) -> Operation:
    """Return the script plugin's operation for a command."""
    # Its first line keeps the inline source from being taken for Python.
    inputs = {"script_source": f"#!/bin/sh\n{text}\n", **inputs}
    return Operation({"name": "script"}, "script_runner.tasks.run", inputs, timeout_seconds)


def report(work: Sequencing, execution: Execution, *, json: bool) -> None:
    """Print what the operation returned."""
    with work.database.read() as connection:
        found = attempts.of_execution(connection, execution.id)
    result = dict((found[-1].result or {}) if found else {})
    if json:
        spans = spans_of(work.database, execution)
        print_json(
            {
                "execution": execution.id,
                "status": execution.status.value,
                "value": result.get("value"),
                "error": result.get("error"),
                "seconds": sum(span.ends - span.begins for span in spans),
            }
        )
        return
    if execution.error:
        errors.print(execution.error, markup=False, soft_wrap=True)
    if result.get("value") is not None:
        print_json(result["value"])
