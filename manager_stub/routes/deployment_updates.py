"""Deployment updates: another blueprint, other inputs; carried out by the workflow `update`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from outrider.manager_stub.bodies import UpdateBody
from outrider.manager_stub.calls import Reader, Starter
from outrider.manager_stub.listing import Listing
from outrider.manager_stub.resource import fetch_one, fetch_page
from outrider.manager_stub.resources import DEPLOYMENT, DEPLOYMENT_UPDATE
from outrider.manager_stub.updating import initiate

routes = APIRouter(tags=["deployment updates"])


@routes.get("/deployment-updates")
def list_updates(call: Reader, listing: Listing) -> dict[str, Any]:
    """List deployment updates."""
    return fetch_page(call, DEPLOYMENT_UPDATE, listing)


@routes.get("/deployment-updates/{update_id}")
def get_update(call: Reader, update_id: str, listing: Listing) -> dict[str, Any]:
    """Return one deployment update."""
    return fetch_one(call, DEPLOYMENT_UPDATE, update_id, listing=listing)


@routes.post("/deployment-updates/{deployment_id}/update/initiate")
def initiate_update(call: Starter, deployment_id: str, body: UpdateBody) -> dict[str, Any]:
    """Start an update, or with `preview` only say what it would change."""
    fetch_one(call, DEPLOYMENT, deployment_id)
    return fetch_one(call, DEPLOYMENT_UPDATE, initiate(call, deployment_id, body))
