"""Agents: listed from their heartbeats, recorded by installers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import agents
from outrider.dispatcher.store.agents import Agent
from outrider.manager_stub.bodies import AgentBody
from outrider.manager_stub.calls import Call, Operator, Reader, Writer
from outrider.manager_stub.errors import AtOdds, Forbidden, Missing
from outrider.manager_stub.listing import Listing
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import fetch_one
from outrider.manager_stub.resources import AGENT
from outrider.manager_stub.wire import checked_id

routes = APIRouter(tags=["agents"])

#: Who was heard of within this time is there: more than a heartbeat's interval, less than a lease.
LIVES_SECONDS = 60.0
_DETAILS = ("ip", "install_method", "system", "version")


@routes.get("/agents")
async def list_agents(call: Reader, listing: Listing) -> Response:
    """List agents."""
    return await answer_page(call, AGENT, listing)


@routes.get("/agents/{name}")
def get_agent(call: Reader, name: str) -> dict[str, Any]:
    """Return one agent; accounts at the broker are not told here."""
    return {**fetch_one(call, AGENT, name), "rabbitmq_username": None, "rabbitmq_password": None}


@routes.put("/agents/{name}")
def put_agent(call: Operator, name: str, body: AgentBody) -> dict[str, Any]:
    """Record an agent; one that exists is not an error."""
    checked_id(name, kind="agent")
    return _save(call, name, body, create=True)


@routes.patch("/agents/{name}")
def patch_agent(call: Operator, name: str, body: AgentBody) -> dict[str, Any]:
    """Change what is recorded of an agent."""
    return _save(call, name, body, create=False)


@routes.delete("/agents/{name}", status_code=204)
def delete_agent(call: Writer, name: str) -> None:
    """Forget an agent that is gone; one that was heard of lately is there, and has to be removed from its host."""
    with call.write() as connection:
        agent = agents.get(connection, name)
        if agent.tenant != call.tenant:
            raise Missing("agent", name)
        silent_seconds = None if agent.last_seen_at is None else call.now(connection) - agent.last_seen_at
        if silent_seconds is not None and silent_seconds < LIVES_SECONDS:
            text = f"agent {name!r} was heard of {silent_seconds:.0f} s ago: uninstall it from its host first"
            raise AtOdds(f"{text} (outrider agent uninstall), or stop it")
        agents.delete(connection, name)


def _save(call: Call, name: str, body: AgentBody, *, create: bool) -> dict[str, Any]:
    with call.write() as connection:
        try:
            agent = agents.get(connection, name)
        except NotFound:
            if not create:
                raise
            agent = Agent(
                id=name,
                tenant=call.tenant,
                state="creating",
                deployment_id=call.caller.deployment_id,
                created_at=call.now(connection),
            )
        if agent.tenant != call.tenant:
            # Names are unique over all tenants: who may not see it may not learn of it by changing it.
            raise Missing("agent", name) if not create else Forbidden(f"the agent name {name!r} is taken")
        call.check_deployment(agent.deployment_id)
        sent = {field: value for field in _DETAILS if (value := getattr(body, field)) is not None}
        agents.save(
            connection,
            replace(
                agent,
                state=body.state or agent.state,
                instance=body.node_instance_id or agent.instance,
                details={**agent.details, **sent},
            ),
        )
        return fetch_one(call, AGENT, name, connection=connection)
