"""Errors of the agent.

AgentError
├── SettingsError       settings are missing or wrong; lists all of them
├── StateUnusable       the state folder cannot be made, read or written
├── StateLocked         another agent uses this state folder
├── JournalError        the journal cannot be read or written (a full or broken disk)
├── RunnerError         a plugin's runner cannot be started, or does not answer
├── UpgradeRefused      an upgrade cannot be begun, or is not known here
├── SecretsUnavailable  the secrets of an attempt could not be redeemed
└── PreparationFailed   an attempt cannot be run here; becomes its result
    └── Refused         … and that is evidence that it never started
"""

from __future__ import annotations


class AgentError(Exception):
    """The root of all errors that this package raises."""


class SettingsError(AgentError):
    """Settings are missing or wrong; the text has one line for each, with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["the agent's settings are not valid:", *(f"  {problem}" for problem in problems)]))
        self.problems = problems


class StateUnusable(AgentError):
    """The state folder cannot be made, read or written; the text names what the operating system refused."""


class StateLocked(AgentError):
    """Another agent uses this state folder: two agents on one journal would run attempts twice."""


class JournalError(AgentError):
    """The journal cannot be read or written; the text has the reason (often a full disk)."""


class RunnerError(AgentError):
    """A plugin's runner cannot be started or does not answer; the text has the end of its log."""


class UpgradeRefused(AgentError):
    """An upgrade over the control queue cannot be begun, or is not known here."""


class SecretsUnavailable(AgentError):
    """The dispatcher did not hand out the secrets of an attempt within the limit, or refused."""


class PreparationFailed(AgentError):
    """An attempt cannot be run here: the text goes into its result, with whether another try may help."""

    def __init__(self, kind: str, message: str, *, recoverable: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.recoverable = recoverable


class Refused(PreparationFailed):
    """The agent will not start an attempt, and nothing of it ran: the verdict is `never_started`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message, recoverable=True)
