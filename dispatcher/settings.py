"""Settings of a dispatcher: one frozen object, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass, fields

from outrider.dispatcher.errors import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine behaves. Times are seconds; tests shorten them."""

    #: Id of the agent beside the dispatcher: runs what the blueprint gives to the ``central_deployment_agent``.
    central_agent: str = "central"
    #: Open attempts of one execution at a time; what is above waits here, not in brokers.
    max_open_per_execution: int = 1000
    #: Open attempts that one agent holds, over all executions; agents have slots of their own and queue the rest.
    max_open_per_agent: int = 1000
    #: How long an attempt may wait in an agent's queue before it starts.
    start_window_seconds: float = 600.0
    #: How long an agent is believed to be alive after it sent a heartbeat.
    lease_seconds: float = 180.0
    #: Allowance for messages under way, on top of start window and lease.
    grace_seconds: float = 30.0
    #: Retries of an operation whose failure is recoverable; -1 = without limit.
    max_retries: int = 60
    retry_interval_seconds: float = 15.0
    #: Times that a failed subgraph is replaced (uninstalled and installed again).
    subgraph_retries: int = 0
    #: An attempt that never started is sent again after this, doubled each time up to the maximum.
    resend_first_seconds: float = 1.0
    resend_max_seconds: float = 30.0
    #: How long a cancel waits for agents to confirm that operations have stopped.
    cancel_bound_seconds: float = 60.0
    #: A cancel request that is not answered is sent again after this.
    cancel_repeat_seconds: float = 5.0
    #: Signals that are handled, and attempts that are sent, in one transaction.
    batch_size: int = 500
    #: How often the store is looked at for new executions, cancels and results that others recorded.
    poll_seconds: float = 1.0
    #: A dispatcher that has not renewed its lease for this long is dead, and its executions are adopted.
    owner_lease_seconds: float = 20.0
    owner_renewal_seconds: float = 5.0
    #: Executions that one dispatcher runs at a time; others stay pending. Those that wait for others do not count.
    max_executions: int = 200

    def __post_init__(self) -> None:
        """Refuse values that make no sense, all at once."""
        problems = [
            f"{each.name} must be positive, found {getattr(self, each.name)!r}"
            for each in fields(self)
            if each.name not in _MAY_BE_ZERO and each.name != "central_agent" and getattr(self, each.name) <= 0
        ]
        if self.max_retries < -1:
            problems.append(f"max_retries must be -1 (without limit) or more, found {self.max_retries}")
        if self.owner_renewal_seconds * 2 > self.owner_lease_seconds:
            problems.append(
                "owner_lease_seconds must be at least twice owner_renewal_seconds, or living owners are robbed"
            )
        if problems:
            raise SettingsInvalid("; ".join(problems))

    @property
    def verdict_bound_seconds(self) -> float:
        """The longest time from an attempt's publishing to a verdict if nobody is heard of again."""
        return self.start_window_seconds + self.lease_seconds + self.grace_seconds


_MAY_BE_ZERO = frozenset(
    {"max_retries", "retry_interval_seconds", "subgraph_retries", "grace_seconds", "resend_first_seconds"}
)
