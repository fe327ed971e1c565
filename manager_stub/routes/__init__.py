"""The routes of the REST API, one module per noun; `ROUTERS` is what the application serves under ``/api/v3.1``."""

from fastapi import APIRouter

from outrider.manager_stub.routes import (
    agents,
    blueprints,
    deployment_updates,
    deployments,
    evaluate,
    events,
    executions,
    graphs,
    nodes,
    operations,
    plugins,
    searches,
    secrets,
    summary,
    system,
    tenants,
    tokens,
    users,
)

ROUTERS: tuple[APIRouter, ...] = (
    system.routes,
    tokens.routes,
    tenants.routes,
    users.routes,
    plugins.routes,
    blueprints.routes,
    deployments.routes,
    deployment_updates.routes,
    executions.routes,
    events.routes,
    nodes.routes,
    agents.routes,
    secrets.routes,
    evaluate.routes,
    graphs.routes,
    operations.routes,
    searches.routes,
    summary.routes,
)
