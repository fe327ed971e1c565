"""Who may read a hidden or private secret's value: its creator, administrators, and the operations either started.

`routes.secrets` and `evaluating` ask.
"""

from __future__ import annotations

from outrider.dispatcher.errors import NotFound
from outrider.dispatcher.store import users
from outrider.manager_stub.access import SYSTEM_ADMIN
from outrider.manager_stub.calls import Call


def may_read(call: Call, creator: str) -> bool:
    """Tell whether the caller may read what `creator` keeps back; an execution's token may what its starter may."""
    return call.caller.is_admin or call.caller.user == creator or _started_by_admin(call)


def _started_by_admin(call: Call) -> bool:
    if call.caller.execution_id is None:
        return False
    try:
        with call.read() as connection:
            starter = users.get(connection, call.caller.user)
    except NotFound:
        return False
    return starter.active and starter.role == SYSTEM_ADMIN
