"""The way to the manager's REST API, for operations that call it.

What somebody set in the agent's environment counts first: it may name another manager than ours. Otherwise the
dispatcher is asked, once per operation, and what it answers lives in this process's memory only. Operations that call
no manager ask nothing.
"""

import os
import time

from outrider.plugins.sdk.errors import RecoverableError, RequestFailed, RequestNotSupported

#: A dispatcher that dies is replaced within half a minute; a broker that is away gets the same.
_TIMEOUT_SECONDS = 60.0
_NAME = "outrider:manager"


class ManagerAccess:
    """Address, authority and token."""

    def __init__(self, answer, work_dir):
        self.protocol, self.host, self.port = answer["protocol"], answer["host"], int(answer["port"])
        self.token = answer["token"]
        self._stale_at = time.monotonic() + answer["token_seconds"] / 2
        self.cert = _written(answer["ca_pem"], work_dir) if answer.get("ca_pem") else None

    @property
    def fresh(self):
        """Whether the token is good for long enough; an operation that runs for a day asks for another one."""
        return time.monotonic() < self._stale_at


def manager_access(ctx):
    """Return the `ManagerAccess` of an operation's or a workflow's context, None where there is no manager.

    Raises RecoverableError if nobody answers.
    """
    sdk_context = getattr(ctx, "_sdk", None)
    if sdk_context is None:
        return None
    known = sdk_context.__dict__.get("manager_access")
    if known is not None and known.fresh:
        return known
    try:
        answer = sdk_context.channel.request("manager", {}, _TIMEOUT_SECONDS).get("secrets") or {}
    except RequestNotSupported:
        return None
    except RequestFailed as error:
        raise RecoverableError(f"how to reach the manager could not be found out: {error}") from error
    if _NAME not in answer:
        return None
    found = sdk_context.__dict__["manager_access"] = ManagerAccess(answer[_NAME], sdk_context.work_dir)
    return found


class Endpoint:
    """What a client needs; `account` is keyword arguments of it, empty where `execution_token` says who asks."""

    def __init__(self, *, protocol, host, port, cert=None, execution_token=None, account=None):
        self.protocol, self.host, self.port, self.cert = protocol, host, port, cert
        self.execution_token = execution_token
        self.account = account or {}


def endpoint(ctx):
    """Return the `Endpoint` for code that runs in a context (None: in no operation), None where there is no manager.

    Raises RecoverableError if nobody answers.
    """
    raw = getattr(ctx, "_context", None) or {}
    host = raw.get("rest_host") or os.environ.get("REST_HOST")
    if host:
        return _by_hand(raw, host if isinstance(host, str) else host[0])
    access = manager_access(ctx)
    if access is None:
        return None
    return Endpoint(
        protocol=access.protocol,
        host=access.host,
        port=access.port,
        cert=access.cert,
        execution_token=access.token,
    )


def _by_hand(raw, host):
    port = raw.get("rest_port") or os.environ.get("REST_PORT")
    execution_token = raw.get("execution_token")
    account = {}
    if not execution_token and raw.get("rest_token"):
        account = {"token": raw["rest_token"]}
    elif not execution_token:
        names = {"token": "REST_TOKEN", "username": "REST_USERNAME", "password": "REST_PASSWORD"}
        account = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
    return Endpoint(
        protocol=os.environ.get("REST_PROTOCOL", "https"),
        host=host,
        port=int(port) if port else None,
        cert=os.environ.get("LOCAL_REST_CERT_FILE"),
        execution_token=execution_token,
        account=account,
    )


def _written(pem, work_dir):
    path = os.path.join(work_dir, "manager-ca.pem")
    with open(path, "w", encoding="ascii") as file:
        file.write(pem)
    return path
