"""The routes that the ecosystem's clients call: each is served, and says the success status that they insist on."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from outrider.manager_stub.app import API
from outrider.manager_stub.routes import ROUTERS, file_server, system

#: Method and path below the version's prefix → status of success. Names of parameters are ours.
EXPECTED = """
GET /status 200
GET /maintenance 200
GET /provider/context 200
GET /managers 200
GET /brokers 200
GET /db-nodes 200
GET /config 200
GET /config/{} 200
GET /idp 200
GET /license-check 200
GET /cluster-status 200
POST /tokens 200
GET /tokens 200
GET /tokens/{} 200
DELETE /tokens/{} 204
GET /plugins 200
POST /plugins 201
GET /plugins/{} 200
PUT /plugins/{} 200
POST /plugins/{} 200
PATCH /plugins/{} 200
DELETE /plugins/{} 204
GET /plugins/{}/archive 200
GET /plugins/{}/yaml 200
PATCH /plugins/{}/set-visibility 200
GET /blueprints 200
PUT /blueprints/{} 201
GET /blueprints/{} 200
PATCH /blueprints/{} 200
DELETE /blueprints/{} 204
PUT /blueprints/{}/validate 201
PATCH /blueprints/{}/icon 200
GET /blueprints/{}/archive 200
PATCH /blueprints/{}/set-visibility 200
GET /deployments 200
PUT /deployments/{} 201
GET /deployments/{} 200
PATCH /deployments/{} 200
DELETE /deployments/{} 204
GET /deployments/{}/outputs 200
GET /deployments/{}/capabilities 200
GET /deployments/{}/workflows 200
GET /deployments/{}/labels 200
PATCH /deployments/{}/set-visibility 200
POST /deployments/{}/set-site 200
POST /deployment-updates/{}/update/initiate 200
GET /deployment-updates 200
GET /deployment-updates/{} 200
GET /executions 200
POST /executions 201
DELETE /executions 200
GET /executions/{} 200
POST /executions/{} 200
PATCH /executions/{} 200
GET /events 200
POST /events 201
DELETE /events 200
GET /nodes 200
POST /nodes 201
PATCH /nodes/{}/{} 204
DELETE /nodes/{}/{} 204
GET /node-instances 200
POST /node-instances 201
GET /node-instances/{} 200
PATCH /node-instances/{} 200
DELETE /node-instances/{} 204
GET /agents 200
GET /agents/{} 200
PUT /agents/{} 200
PATCH /agents/{} 200
DELETE /agents/{} 204
GET /secrets 200
GET /secrets/{} 200
PUT /secrets/{} 200
PATCH /secrets/{} 200
DELETE /secrets/{} 204
PATCH /secrets/{}/set-visibility 200
POST /evaluate/functions 200
GET /tasks_graphs 200
POST /tasks_graphs 201
POST /tasks_graphs/tasks_graphs 201
GET /operations 200
GET /operations/{} 200
PUT /operations/{} 201
PATCH /operations/{} 200
DELETE /operations/{} 204
POST /searches/blueprints 200
POST /searches/deployments 200
POST /searches/secrets 200
POST /searches/node-instances 200
GET /tenants 200
GET /tenants/{} 200
POST /tenants/{} 201
DELETE /tenants/{} 204
PUT /tenants/users 200
PATCH /tenants/users 200
DELETE /tenants/users 204
GET /user 200
GET /users 200
PUT /users 201
GET /users/{} 200
POST /users/{} 200
DELETE /users/{} 204
POST /users/active/{} 200
POST /users/unlock/{} 200
GET /summary/blueprints 200
GET /summary/deployments 200
GET /summary/nodes 200
GET /summary/node_instances 200
GET /summary/executions 200
"""
#: Outside of the version's prefix.
UNVERSIONED = """
GET /api/version 200
GET /resources/blueprints/{}/{}/{} 200
GET /resources/deployments/{}/{}/ 200
PUT /resources/deployments/{}/{}/ 200
GET /resources/deployments/{}/{}/{} 200
PUT /resources/deployments/{}/{}/{} 200
DELETE /resources/deployments/{}/{}/{} 204
"""


def served() -> dict[str, int]:
    """Return every route and the status of its success."""
    routers = [(API, each) for each in ROUTERS] + [("", system.unversioned), ("", file_server.routes)]
    found = {}
    for prefix, router in routers:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                found[f"{method} {prefix}{re.sub('{[^}]+}', '{}', route.path)}"] = route.status_code or 200
    return found


def expected() -> list[tuple[str, int]]:
    lines = [(API, line) for line in EXPECTED.split("\n")] + [("", line) for line in UNVERSIONED.split("\n")]
    split = [(prefix, *line.split()) for prefix, line in lines if line]
    return [(f"{method} {prefix}{path}", int(status)) for prefix, method, path, status in split]


@pytest.mark.parametrize(("route", "status"), expected(), ids=lambda each: str(each).replace(API, ""))
def test_what_clients_call_is_served_with_the_status_that_they_insist_on(route: str, status: int) -> None:
    assert served().get(route) == status
