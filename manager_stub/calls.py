"""What a route gets: who calls, on whose behalf, with the store at hand. Routes name the right they need by the type.

::

    @routes.get("/plugins")
    def list_plugins(call: Reader, listing: Listing) -> Any: ...
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import Connection

from outrider.dispatcher.dispatcher import Dispatcher
from outrider.manager_stub.access import Caller, ForOperations, Right
from outrider.manager_stub.errors import Forbidden
from outrider.manager_stub.peers import address_of
from outrider.manager_stub.service import Manager


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, after its sender was found out."""

    caller: Caller
    manager: Manager

    @property
    def tenant(self) -> str:
        """The tenant that it is about."""
        return self.caller.tenant

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher, as the tenant's."""
        return self.manager.of_tenant(self.caller.tenant)

    def read(self) -> AbstractContextManager[Connection]:
        """Open a reading transaction."""
        return self.manager.database.read()

    def write(self) -> AbstractContextManager[Connection]:
        """Open a writing transaction."""
        return self.manager.database.begin()

    def now(self, connection: Connection) -> float:
        """Return the store's clock."""
        return self.manager.database.now(connection)

    def check_deployment(self, deployment_id: str | None) -> None:
        """Keep an execution's token to its own deployment; raises Forbidden."""
        if self.caller.execution_id is not None and deployment_id != self.caller.deployment_id:
            raise Forbidden(f"this token is for deployment {self.caller.deployment_id!r} only")

    def check_execution(self, execution_id: str | None) -> None:
        """Keep an execution's token to its own execution; raises Forbidden."""
        if self.caller.execution_id not in (None, execution_id):
            raise Forbidden("this token is for another execution")


class Requires:
    """The dependency that lets a request pass only with a right; tests read `right` off the routes."""

    def __init__(self, right: Right, *, operations: ForOperations = ForOperations.OPEN) -> None:
        self.right = right
        self.operations = operations

    async def __call__(self, request: Request) -> Call:
        """Authenticate the request; raises Unauthorized, Forbidden.

        Asynchronous, so that a caller who was here a moment ago costs no way to a thread and back.
        """
        manager: Manager = request.app.state.manager
        tenant = request.path_params.get("file_tenant")
        known = manager.authenticator.known.find(request.headers, tenant=tenant)
        caller = known if isinstance(known, Caller) else await run_in_threadpool(_authenticated, request, tenant)
        request.state.caller = caller
        if tenant not in (None, caller.tenant):
            # An execution's token knows its own tenant only, whatever a path says.
            raise Forbidden(f"this token is for tenant {caller.tenant!r} only")
        if caller.execution_id is not None:
            self._check_operation(caller, named=request.headers.get("tenant"))
        if caller.right < self.right:
            raise Forbidden(
                f"user {caller.user!r} may not do this in tenant {caller.tenant!r}: it needs the right "
                f"{self.right.name.lower()}, and the user's role there gives {caller.right.name.lower()}"
            )
        return Call(caller=caller, manager=manager)

    def _check_operation(self, caller: Caller, *, named: str | None) -> None:
        if self.operations is ForOperations.OPEN:
            return
        if self.operations is ForOperations.CLOSED:
            raise Forbidden("an execution's token is not good for this: it needs a person's credentials")
        if not caller.for_starter:
            raise Forbidden(
                "an execution's token is not good for this when its operation runs on a host's agent: let the central "
                "agent run it (executor: central_deployment_agent), or give its code a user's token (REST_HOST and "
                "REST_TOKEN in the agent's environment)"
            )
        if caller.starter_right is None or caller.starter_right < self.right:
            raise Forbidden(
                f"an execution's token is good for this as far as its starter is: {caller.user!r} is no active user "
                f"with the right {self.right.name.lower()} in tenant {caller.tenant!r}"
            )
        if named not in (None, caller.tenant):
            # To make something in another tenant than the one that was named would be worse than to refuse.
            raise Forbidden(f"this token is for tenant {caller.tenant!r} only, not for {named!r}")


def _authenticated(request: Request, tenant: str | None) -> Caller:
    manager: Manager = request.app.state.manager
    address = address_of(request.client)
    return manager.authenticator.authenticate(request.headers, address=address, tenant=tenant)


Reader = Annotated[Call, Depends(Requires(Right.READ))]
#: Changes by people; an execution's operations may not do it.
Writer = Annotated[Call, Depends(Requires(Right.WRITE, operations=ForOperations.CLOSED))]
#: Changes by people, and by operations that stand for who started them: executions, secrets, deployments, blueprints.
Starter = Annotated[Call, Depends(Requires(Right.WRITE, operations=ForOperations.FOR_STARTER))]
#: Changes that operations make too: properties, events, their own bookkeeping.
Operator = Annotated[Call, Depends(Requires(Right.WRITE))]
TenantAdmin = Annotated[Call, Depends(Requires(Right.TENANT, operations=ForOperations.CLOSED))]
SystemAdmin = Annotated[Call, Depends(Requires(Right.SYSTEM, operations=ForOperations.CLOSED))]
#: Anybody with an account, whatever the role: one's own tokens.
Person = Annotated[Call, Depends(Requires(Right.READ, operations=ForOperations.CLOSED))]
