"""Taking an agent away: its operations are ended and that is proven, then service, files, account and queues go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from outrider.installer.installation import connected
from outrider.installer.progress import Observer, Steps, ignore
from outrider.installer.ssh import SshTarget

UNINSTALL_SECONDS = 240.0
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Uninstalled:
    """What an uninstallation did."""

    host: str
    #: Processes that were still running and were ended.
    ended: tuple[int, ...]
    removed: tuple[str, ...]
    #: How it is known that nothing runs any more.
    proof: str


def uninstall_agent(
    target: SshTarget,
    host_program: bytes,
    *,
    remove_account: Optional[Callable[[], None]] = None,
    grace_seconds: float = GRACE_SECONDS,
    observer: Observer = ignore,
) -> Uninstalled:
    """Remove the agent from a host, then, by `remove_account`, from the broker; raises `StepFailed`.

    In this order, because an agent that still runs must be able to report; a host that has no agent is fine.
    """
    steps = Steps(str(target), observer)
    with connected(steps, target, host_program) as session, steps.step("remove"):
        answer = session.act("uninstall", {"grace_seconds": grace_seconds}, timeout_seconds=UNINSTALL_SECONDS)
        session.remove_stage()
    if remove_account is not None:
        with steps.step("account"):
            remove_account()
    return Uninstalled(str(target), tuple(answer["ended"]), tuple(answer["removed"]), answer["proof"])
