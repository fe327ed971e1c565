"""Row: any other resource, through AWS's Cloud Control API.

The API makes, reads and removes resources of every type that CloudFormation knows, from a document of their desired
state. Each change is a request with a token of its own, which is asked for its outcome until it has one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Optional

from outrider.plugins.aws.errors import POLL_SECONDS, Busy, ResourceBroken
from outrider.plugins.aws.row import Call, Description, Row

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

TYPE = "outrider.nodes.aws.CloudControlResource"
#: Runtime properties: the tokens of the requests that are under way.
MAKING = "aws_create_request"
REMOVING = "aws_delete_request"
#: The resource is gone, whoever removed it.
_ABSENT = ("ResourceNotFoundException",)
_UNFINISHED = frozenset({"PENDING", "IN_PROGRESS", "CANCEL_IN_PROGRESS"})


def prepare(_work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """The API takes the desired state as a text."""
    desired = config.get("DesiredState") or {}
    return {**config, "DesiredState": desired if isinstance(desired, str) else json.dumps(desired)}


def look(work: Work) -> Optional[Description]:
    """Return the resource's identifier and properties; first the outcome of a request that is under way."""
    if work.noted.get(MAKING) and not work.noted.get("aws_resource_id"):
        identifier = _outcome(work, MAKING).get("Identifier")
        if not identifier:
            return None
        work.noted["aws_resource_id"] = identifier
        work.instance.update()
    type_name = work.config.get("TypeName")
    if not work.id or not type_name:
        return None
    answer = work.call("get_resource", {"TypeName": type_name, "Identifier": work.id}, absent=_ABSENT)
    if answer is None:
        return None
    described = answer["ResourceDescription"]
    return {"Identifier": described["Identifier"], "Properties": json.loads(described.get("Properties") or "{}")}


def make(work: Work, config: dict[str, Any]) -> Description:
    """Ask for the resource, and note the request; `look` asks for its outcome."""
    event = (work.call("create_resource", config, once=True) or {})["ProgressEvent"]
    work.noted[MAKING] = event["RequestToken"]
    work.instance.update()
    return {"Identifier": _outcome(work, MAKING)["Identifier"]}


def remove(work: Work) -> None:
    """Ask for the removal, and wait for its outcome."""
    if not work.noted.get(REMOVING):
        arguments = {"TypeName": work.config["TypeName"], "Identifier": work.id}
        answer = work.call("delete_resource", arguments, absent=_ABSENT)
        if answer is None:
            return
        work.noted[REMOVING] = answer["ProgressEvent"]["RequestToken"]
        work.instance.update()
    _outcome(work, REMOVING)


def differences(work: Work, description: Description) -> dict[str, Any]:
    """Compare the properties that the desired state names."""
    desired = json.loads(work.config.get("DesiredState") or "{}")
    found = description["Properties"]
    return {
        name: {"expected": value, "found": found.get(name)}
        for name, value in desired.items()
        # Properties that can only be written are not shown.
        if name in found and found[name] != value
    }


def _outcome(work: Work, request: str) -> dict[str, Any]:
    """Return the finished request's event. Raises `Busy` until it is, `ResourceBroken` if it failed."""
    answer = work.call("get_resource_request_status", {"RequestToken": work.noted[request]})
    event: dict[str, Any] = (answer or {})["ProgressEvent"]
    status, code = event["OperationStatus"], event.get("ErrorCode")
    if status in _UNFINISHED:
        raise Busy(f"{work}: {event.get('StatusMessage') or status}", retry_after=POLL_SECONDS)
    if status == "FAILED" and request == REMOVING and code == "NotFound":
        return event
    if status != "SUCCESS":
        # The next attempt asks anew, with a token of its own.
        for name in (request, "aws_client_token"):
            work.noted.pop(name, None)
        if code in {"Throttling", "ServiceInternalError", "NetworkFailure", "NotStabilized", "ResourceConflict"}:
            raise Busy(f"{work}: {code}: {event.get('StatusMessage')}", retry_after=POLL_SECONDS)
        raise ResourceBroken(f"{work}: {code or status}: {event.get('StatusMessage') or 'AWS gave no reason'}")
    return event


ROWS = (
    Row(
        type_name=TYPE,
        noun="Cloud Control resource",
        service="cloudcontrol",
        create=Call("create_resource"),
        read=None,
        delete=None,
        id="Identifier",
        idempotent_by="ClientToken",
        prepare=prepare,
        look=look,
        make=make,
        remove=remove,
        differences=differences,
    ),
)
