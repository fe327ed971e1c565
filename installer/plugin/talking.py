"""What the broker tells of an agent that is about to go: is it idle, has it gone; `messaging.questions` asks itself."""

from __future__ import annotations

import time

from outrider.installer.broker import account_name
from outrider.installer.errors import NoHeartbeat
from outrider.installer.heartbeats import HeartbeatWaiter
from outrider.messaging.amqp.management import ManagementClient
from outrider.messaging.messages import AgentHeartbeat

#: An agent that is asked whether it is there may just be coming: it is asked anew.
AGAIN_SECONDS = 2.0
_POLL_SECONDS = 0.5


def wait_until_idle(heartbeats: HeartbeatWaiter, agent_id: str, *, timeout_seconds: float) -> bool:
    """Return once an agent that was told to drain has nothing in hand; False if it still has, or is silent."""

    def idle(beat: AgentHeartbeat) -> bool:
        return beat.state == "draining" and not (beat.accepted or beat.running or beat.reporting)

    latest = heartbeats.latest(agent_id)
    if latest is not None and idle(latest):
        return True
    try:
        heartbeats.wait(agent_id, idle, timeout_seconds)
    except NoHeartbeat:
        return False
    return True


def wait_until_gone(management: ManagementClient, agent_id: str, *, timeout_seconds: float) -> bool:
    """Return once an agent has no connection to the broker any more; False if it still has.

    The broker's list is some seconds old, so an agent that ended a moment ago is waited for, too.
    """
    deadline = time.monotonic() + timeout_seconds
    name = account_name(agent_id)
    while any(connection.get("user") == name for connection in management.connections()):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
