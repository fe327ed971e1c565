"""Tenants and their members."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import tenants, users
from outrider.manager_stub.access import TENANT_ROLES
from outrider.manager_stub.bodies import MemberBody
from outrider.manager_stub.calls import Call, Person, SystemAdmin, TenantAdmin
from outrider.manager_stub.errors import BadRequest, Forbidden, Missing
from outrider.manager_stub.listing import Listing, slice_of
from outrider.manager_stub.wire import checked_id

routes = APIRouter(tags=["tenants"])


@routes.put("/tenants/users")
@routes.patch("/tenants/users")
def put_member(call: TenantAdmin, body: MemberBody) -> dict[str, Any]:
    """Make a user a member of a tenant, or give a member another role."""
    if body.role not in TENANT_ROLES:
        raise BadRequest(f"role {body.role!r} is not one of {', '.join(TENANT_ROLES)}")
    _check_manages(call, body.tenant_name)
    with call.write() as connection:
        users.get(connection, body.username)
        tenants.add_member(connection, body.tenant_name, body.username, body.role)
        return _shape(connection, body.tenant_name, whole=False)


@routes.delete("/tenants/users", status_code=204)
def remove_member(call: TenantAdmin, body: MemberBody) -> None:
    """End a membership."""
    _check_manages(call, body.tenant_name)
    with call.write() as connection:
        tenants.remove_member(connection, body.tenant_name, body.username)


@routes.get("/tenants")
def list_tenants(call: Person, listing: Listing) -> dict[str, Any]:
    """List the tenants that one belongs to; administrators see all."""
    with call.read() as connection:
        names = [
            each.name
            for each in tenants.listed(connection)
            if each.name in call.caller.tenants and (listing.search or "") in each.name
        ]
        if listing.sort and listing.sort[0] == "-name":
            names.reverse()
        return slice_of([_shape(connection, name, whole=listing.flag("_get_data")) for name in names], listing)


@routes.get("/tenants/{name}")
def get_tenant(call: Person, name: str, listing: Listing) -> dict[str, Any]:
    """Return one tenant."""
    if name not in call.caller.tenants:
        raise Missing("tenant", name)
    with call.read() as connection:
        return _shape(connection, name, whole=listing.flag("_get_data"))


@routes.post("/tenants/{name}", status_code=201)
def create_tenant(call: SystemAdmin, name: str) -> dict[str, Any]:
    """Make a tenant."""
    checked_id(name, kind="tenant")
    with call.write() as connection:
        tenants.insert(connection, name, now=call.now(connection))
        return _shape(connection, name, whole=False)


@routes.delete("/tenants/{name}", status_code=204)
def delete_tenant(call: SystemAdmin, name: str) -> None:
    """Delete an empty tenant."""
    with call.write() as connection:
        tenants.delete(connection, name)


def _check_manages(call: Call, tenant: str) -> None:
    """A manager of one tenant is not one of another."""
    if not call.caller.is_admin and tenant != call.tenant:
        raise Forbidden(f"the request is about tenant {call.tenant!r}: name {tenant!r} as its tenant")


def _shape(connection: Connection, name: str, *, whole: bool) -> dict[str, Any]:
    members = tenants.members(connection, name)
    return {"name": name, "groups": {} if whole else 0, "users": members if whole else len(members)}
