"""Users: their accounts, roles and passwords."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter
from sqlalchemy.engine import Connection

from outrider.dispatcher.store import passwords, tenants, users
from outrider.dispatcher.store.schema import USERS
from outrider.dispatcher.store.users import User
from outrider.manager_stub.access import SYSTEM_ADMIN, SYSTEM_ROLES
from outrider.manager_stub.bodies import ActivateBody, UserBody, UserChangeBody
from outrider.manager_stub.calls import Call, Person, SystemAdmin
from outrider.manager_stub.errors import BadRequest, Forbidden, Missing
from outrider.manager_stub.listing import Listing, slice_of
from outrider.manager_stub.wire import checked_id, time_text

routes = APIRouter(tags=["users"])


@routes.get("/user")
def get_self(call: Person, listing: Listing) -> dict[str, Any]:
    """Return one's own account."""
    with call.read() as connection:
        return _shape(connection, call, users.get(connection, call.caller.user), whole=listing.flag("_get_data"))


@routes.get("/users")
def list_users(call: SystemAdmin, listing: Listing) -> dict[str, Any]:
    """List all accounts."""
    descending = bool(listing.sort and listing.sort[0].startswith("-"))
    query = sa.select(USERS).order_by(USERS.c.name.desc() if descending else USERS.c.name)
    with call.read() as connection:
        found = [User(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - a row as a mapping
        chosen = [user for user in found if (listing.search or "") in user.name]
        return slice_of([_shape(connection, call, user, whole=listing.flag("_get_data")) for user in chosen], listing)


@routes.put("/users", status_code=201)
def create_user(call: SystemAdmin, body: UserBody) -> dict[str, Any]:
    """Make an account; it belongs to no tenant yet."""
    checked_id(body.username, kind="user")
    _check_role(body.role)
    # The hash takes its time: not while the database waits.
    hashed = passwords.hash_password(body.password)
    with call.write() as connection:
        user = User(name=body.username, password_hash=hashed, role=body.role)
        users.insert(connection, user, now=call.now(connection))
        return _shape(connection, call, users.get(connection, user.name), whole=False)


@routes.post("/users/active/{name}")
def activate_user(call: SystemAdmin, name: str, body: ActivateBody) -> dict[str, Any]:
    """Let an account in, or keep it out: its tokens are refused too."""
    if name == call.caller.user and body.action == "deactivate":
        raise BadRequest("nobody can deactivate the own account")
    return _change(call, name, {"active": body.action == "activate"})


@routes.post("/users/unlock/{name}")
def unlock_user(call: SystemAdmin, name: str) -> dict[str, Any]:
    """End the lock that wrong passwords caused."""
    return _change(call, name, {"locked_until": None, "failures": 0})


@routes.get("/users/{name}")
def get_user(call: Person, name: str, listing: Listing) -> dict[str, Any]:
    """Return an account: one's own, or for administrators anybody's."""
    if not call.caller.is_admin and name != call.caller.user:
        raise Missing("user", name)
    with call.read() as connection:
        return _shape(connection, call, users.get(connection, name), whole=listing.flag("_get_data"))


@routes.post("/users/{name}")
def change_user(call: Person, name: str, body: UserChangeBody) -> dict[str, Any]:
    """Set a password (one's own, or for administrators anybody's) or a role (administrators)."""
    if not call.caller.is_admin and (name != call.caller.user or body.role is not None):
        raise Forbidden("only administrators change roles, and other people's accounts")
    values: dict[str, Any] = {}
    if body.password is not None:
        values["password_hash"] = passwords.hash_password(body.password)
    if body.role is not None:
        _check_role(body.role)
        if name == call.caller.user and body.role != SYSTEM_ADMIN:
            raise BadRequest("nobody can take the administrator's role from the own account")
        values["role"] = body.role
    if not values:
        raise BadRequest("nothing to change: send password or role")
    return _change(call, name, values)


@routes.delete("/users/{name}", status_code=204)
def delete_user(call: SystemAdmin, name: str) -> None:
    """Delete an account with its tokens."""
    if name == call.caller.user:
        raise BadRequest("nobody can delete the own account")
    with call.write() as connection:
        users.delete(connection, name)


def _change(call: Call, name: str, values: dict[str, Any]) -> dict[str, Any]:
    with call.write() as connection:
        users.update(connection, name, values)
        return _shape(connection, call, users.get(connection, name), whole=False)


def _check_role(role: str) -> None:
    if role not in SYSTEM_ROLES:
        raise BadRequest(f"role {role!r} is not one of {', '.join(SYSTEM_ROLES)}")


def _shape(connection: Connection, call: Call, user: User, *, whole: bool) -> dict[str, Any]:
    member = tenants.of_user(connection, user.name)
    return {
        "username": user.name,
        "role": user.role,
        "active": user.active,
        "is_locked": (user.locked_until or 0) > call.now(connection),
        "last_login_at": time_text(user.last_login_at),
        "created_at": time_text(user.created_at),
        "groups": [] if whole else 0,
        "group_system_roles": {},
        "tenants": {name: {"tenant-role": role, "roles": [role]} for name, role in member.items()}
        if whole
        else len(member),
    }
