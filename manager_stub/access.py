"""Who may do what: roles give rights, routes ask for one.

A right includes those before it. The roles of the ecosystem's clients (``manager``, ``operations``) are known beside
Outrider's three (admin, user, viewer).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Right(IntEnum):
    """What a route asks for, least first."""

    READ = 1
    WRITE = 2
    #: Manage one tenant: its members.
    TENANT = 3
    #: Manage users, tenants, and see the audit log.
    SYSTEM = 4


class ForOperations(Enum):
    """Which executions' tokens open a route."""

    #: None: people only.
    CLOSED = "closed"
    #: Those that stand for the execution's starter (see `dispatcher.manager_access`).
    FOR_STARTER = "for starter"
    #: Each, for its own execution and deployment.
    OPEN = "open"


#: Role in a tenant → right there.
TENANT_ROLES = {
    "viewer": Right.READ,
    "operations": Right.WRITE,
    "user": Right.WRITE,
    "admin": Right.TENANT,
    "manager": Right.TENANT,
}
SYSTEM_ADMIN = "sys_admin"
#: Role of a user, independent of tenants → right everywhere; None: what the tenants' roles give.
SYSTEM_ROLES = {SYSTEM_ADMIN: Right.SYSTEM, "default": None}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who sent a request, and the tenant that it is about."""

    user: str
    right: Right
    tenant: str
    #: All tenants that may be looked into.
    tenants: tuple[str, ...]
    #: The request comes from an operation of this execution, and may touch that execution's deployment only.
    execution_id: str | None = None
    deployment_id: str | None = None
    #: The execution's token stands for its starter, where a route says so.
    for_starter: bool = False
    #: What the starter may in the execution's tenant; None: nothing, or nobody knows who that is.
    starter_right: Right | None = None

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return self.right is Right.SYSTEM and self.execution_id is None
