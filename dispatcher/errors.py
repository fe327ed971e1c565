"""Errors of the dispatcher (blueprint, files and secrets have modules of their own below this package).

DispatcherError
├── SettingsInvalid          one or more settings are out of range; every mistake is listed
├── StoreError               the persistent state cannot be used
│   ├── StoreUnavailable     the database does not answer now; the same call may work later
│   ├── SchemaTooNew         the database was migrated by a newer Outrider than this one
│   └── StoreBusy            another process owns this SQLite store
├── NotFound                 no such blueprint, deployment, execution, operation …
├── AlreadyExists            a record of this name exists
├── Conflict                 the record's state forbids what was asked
│   ├── ExecutionRunning     the deployment has a running execution already
│   ├── VersionConflict      the node instance was changed since it was read
│   └── DecisionNeeded       an operation may have run, and a person has to say what is to happen
├── ExecutionFailed          a workflow that was waited for failed
├── ExecutionCancelled       a workflow that was waited for was cancelled
├── WaitExpired              what was waited for did not happen in time; it goes on
├── AgentSilent              an agent that was asked something did not answer
├── AgentRefused             an agent answered that it cannot do what was asked
├── OperationRefused         an operation cannot be sent: its inputs, plugin or agent cannot be resolved
└── UnknownInputs            a decision gives an operation inputs that the plan does not have for it
"""

from __future__ import annotations

from collections.abc import Sequence


class DispatcherError(Exception):
    """The root of all errors that this package raises."""


class SettingsInvalid(DispatcherError):
    """One or more settings are out of range; the text lists every mistake."""


class StoreError(DispatcherError):
    """The persistent state cannot be used."""


class StoreUnavailable(StoreError):
    """The database does not answer now; the text holds its own words."""


class SchemaTooNew(StoreError):
    """The database was migrated by a newer Outrider; upgrade this one or restore a backup."""


class StoreBusy(StoreError):
    """Another process holds this SQLite file for writing longer than we waited."""


class NotFound(DispatcherError):
    """A record does not exist; the text says which kind and which name."""

    def __init__(self, kind: str, name: str) -> None:
        # The words "not found" are part of the REST interface: clients look for them.
        super().__init__(f"{kind} {name!r} not found")
        self.kind = kind
        self.name = name


class AlreadyExists(DispatcherError):
    """A record of this name exists already."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} exists already")
        self.kind = kind
        self.name = name


class Conflict(DispatcherError):
    """The record's state forbids what was asked; the text says which state and what to do."""


class ExecutionRunning(Conflict):
    """The deployment has a running execution; wait for it, cancel it, or start with force or queue."""


class VersionConflict(Conflict):
    """The node instance was changed since it was read: read it again and repeat."""


class DecisionNeeded(Conflict):
    """An operation may have run and is not declared idempotent: retry it, mark it as done, or skip it."""


class NotStorable(DispatcherError, ValueError):
    """A value has something that JSON does not have: a number that is infinite or not a number."""


class ExecutionFailed(DispatcherError):
    """The workflow failed; the text is the execution's error."""


class ExecutionCancelled(DispatcherError):
    """The workflow was cancelled."""


class WaitExpired(DispatcherError):
    """What was waited for did not happen in time; it goes on without us."""


class OperationRefused(DispatcherError):
    """An operation cannot be sent; the text names it, what could not be resolved, and the remedy."""


class UnknownInputs(DispatcherError):
    """A decision gives an operation inputs that it is not known to take; whoever asked may allow them."""

    def __init__(self, operation: str, unknown: Sequence[str], known: Sequence[str]) -> None:
        given = ", ".join(repr(name) for name in unknown)
        inputs = "input" if len(unknown) == 1 else "inputs"
        has = f"its inputs are {', '.join(known)}" if known else "it has no inputs"
        super().__init__(f"the plan of {operation} has no {inputs} {given}: {has}")


class AgentSilent(DispatcherError):
    """An agent that was asked something did not answer within the time that the text says."""


class AgentRefused(DispatcherError):
    """An agent answered that it cannot do what was asked; the text holds its reason."""
