"""What can be wrong with a request for a workflow.

::

    WorkflowError
    ├── UnknownWorkflowError   no workflow, built in or of the plan, has this name
    ├── ParameterError         parameters are unknown, missing or of a wrong type (all of them at once)
    ├── WorkflowUnavailable    its availability rules forbid it on the deployment as it is now
    └── PlanError              the parameters are fine, but this deployment cannot be planned with them
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkflowError(Exception):
    """Base of everything that this package raises."""


class UnknownWorkflowError(WorkflowError):
    """There is no workflow of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(f"unknown workflow {name!r}{did_you_mean(name, names)}; there are: {', '.join(names)}")
        self.name = name


class ParameterError(WorkflowError):
    """A workflow's parameters do not fit its schema; `problems` has one sentence for each."""

    def __init__(self, workflow: str, problems: Iterable[str]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        super().__init__(f"cannot start workflow {workflow!r}: {'; '.join(self.problems)}")


class WorkflowUnavailable(WorkflowError):
    """The workflow's availability rules forbid it on the deployment as it is; the text says which, and what to do."""


class PlanError(WorkflowError):
    """The workflow makes no sense on this deployment as it is now."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` when a known name is close, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
