"""`outrider agent drain|logs`: asks agents over their control queues; no way into the host is needed.

An agent that does not answer has no log to tell this way: `--ssh` reads the service's log on the host.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from outrider.cli.agent_show import AgentId
from outrider.cli.exit_codes import ExitCode
from outrider.cli.local import transport_of
from outrider.cli.login import BundleFile, Login, with_login
from outrider.cli.output import console, errors, fail, say
from outrider.cli.settings import CommandSettings, command_settings
from outrider.dispatcher.asking import AgentQuestions, agent_questions
from outrider.dispatcher.errors import AgentRefused, AgentSilent
from outrider.messaging.errors import MessagingError
from outrider.messaging.messages import ControlKind

_POLL_SECONDS = 0.5
#: An agent that is being started again is silent for a while; a longer silence ends the wait.
_SILENT_LIMIT = 3


@contextmanager
def asking(settings: CommandSettings) -> Iterator[AgentQuestions]:
    """Connect to the broker for questions to agents; ends the command with the reason where none can be asked."""
    if settings.embedded:
        fail("agents on hosts are asked over a broker: set OUTRIDER_BROKER_URLS")
    try:
        with (
            closing(transport_of(settings, name="outrider agent")) as transport,
            agent_questions(transport) as questions,
        ):
            yield questions
    except AgentRefused as error:
        fail(str(error), ExitCode.FAILED)
    except (AgentSilent, MessagingError) as error:
        fail(str(error), ExitCode.UNAVAILABLE)


def drain(
    agent_id: AgentId,
    timeout: Annotated[float, typer.Option(help="Wait for so many seconds at most for what runs.")] = 3600.0,
    undo: Annotated[bool, typer.Option("--undo", help="Have it take operations again.")] = False,
) -> None:
    """Have an agent take nothing new, and wait until all that it has in hand is done and reported.

    What waits in its queue stays there, until `--undo` or the agent's next start.
    """
    with asking(command_settings()) as questions:
        questions.ask(agent_id, ControlKind.DRAIN, {"undo": undo})
        if undo:
            console.print(f"{agent_id} takes operations again")
            return
        left = wait_until_idle(questions, agent_id, timeout_seconds=timeout)
    if left:
        fail(f"{agent_id} takes nothing new, and after {timeout:g} s still has {left} in hand", ExitCode.FAILED)
    console.print(f"{agent_id} is drained: it takes nothing new, and has nothing in hand")


def wait_until_idle(questions: AgentQuestions, agent_id: str, *, timeout_seconds: float) -> int:
    """Return how many attempts the agent still has when it has none, or the time is over. Raises `AgentSilent`."""
    deadline = time.monotonic() + timeout_seconds
    said, silences = -1, 0
    while True:
        try:
            answer = questions.ask(agent_id, ControlKind.EXPLAIN)
        except AgentSilent:
            silences += 1
            if silences >= _SILENT_LIMIT:
                raise
            continue
        left = sum(len(answer.get(name) or ()) for name in ("accepted", "running", "reporting"))
        if left and left != said:
            say(f"{agent_id} takes nothing new and waits for {left}")
        said, silences = left, 0
        if left == 0 or time.monotonic() >= deadline:
            return left
        time.sleep(min(_POLL_SECONDS, timeout_seconds))


@with_login
def logs(
    agent_id: Annotated[str, typer.Argument(help="The agent's id; with --ssh, [user@]host[:port].", metavar="AGENT")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="So many, the last ones.")] = 50,
    ssh: Annotated[bool, typer.Option("--ssh", help="Read the service's log on the host.")] = False,
    *,
    login: Login,
    bundle_file: BundleFile = None,
) -> None:
    """Print the end of an agent's log: by its control queue what it logged since its start, or all by SSH."""
    if not ssh:
        with asking(command_settings()) as questions:
            answer = questions.ask(agent_id, ControlKind.LOGS, {"lines": lines})
        for line in answer.get("lines") or ():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    from outrider.cli.hosts import chosen_hosts, open_bundle
    from outrider.installer import InstallerError, read_log

    (target,) = chosen_hosts([agent_id], None, login)
    try:
        log = read_log(target, open_bundle(bundle_file).host_program, lines=lines)
    except InstallerError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
    errors.print(f"service: {log.state}", style="dim", markup=False)
    console.print(log.text, markup=False, highlight=False, soft_wrap=True)
