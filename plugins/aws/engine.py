"""Makes, waits for and removes the resource that a row describes. The flow of each operation is here, top to bottom.

Each function may be called again at any point of an earlier try: it looks first. No function waits inside the process:
it asks for another call (`Busy`) until the resource is where it should be.
"""

from __future__ import annotations

from typing import Any, NoReturn, Optional

import jmespath

from outrider.plugins.aws import arguments, links, ownership, runtime
from outrider.plugins.aws.errors import (
    POLL_SECONDS,
    Busy,
    NotOurs,
    NotVisibleYet,
    RequestRefused,
    ResourceBroken,
    ResourceMissing,
    is_already_there,
)
from outrider.plugins.aws.row import Description, Read
from outrider.plugins.aws.templates import UnknownValue, expand
from outrider.plugins.aws.work import Work
from outrider.plugins.sdk import ctx


def create(work: Work) -> None:
    """Make the resource, or find what an earlier try made; return when it is ready."""
    if ownership.is_external(work) and _take_external(work):
        return
    work.config = arguments.planned(work)
    description = _made_earlier(work) or _make(work)
    runtime.note(work, description)
    wait_until_ready(work, description)
    links.tie_all(work, description, at="create")
    observe(work)


def start(work: Work) -> None:
    """Tie the resource to what it is related to; bring it up where it is something that runs."""
    if not ownership.is_external(work) and work.row.start is not None:
        work.row.start(work)
    # A tie to an external resource is this deployment's, so it is made all the same.
    links.tie_all(work, required(work), at="start")
    observe(work)


def stop(work: Work) -> None:
    """Undo what `start` did."""
    description = find(work)
    if description is None or not (ownership.is_external(work) or _is_mine(work, description)):
        return
    links.untie_all(work, description, at="start")
    if not ownership.is_external(work) and work.row.stop is not None:
        work.row.stop(work)


def delete(work: Work) -> None:
    """Remove the resource, if it is ours; return when it is gone."""
    if not ownership.is_external(work):
        description = find(work)
        if description is not None and _is_mine(work, description):
            _remove(work, description)
    runtime.forget(work)


def find(work: Work) -> Optional[Description]:
    """Return the description of the instance's resource, or None if there is none (any more)."""
    description = _look(work)
    return None if description is None or _state_in(work, description, "gone") else description


def required(work: Work) -> Description:
    """Return the resource's description. Raises `ResourceMissing`."""
    description = find(work)
    if description is None and work.row.read is not None:
        raise ResourceMissing(f"{work} is gone, or was never made")
    return description or {}


def wait_until_ready(work: Work, description: Description) -> None:
    """Return if the resource is ready; raises `Busy` to be called again, `ResourceBroken` if it never will be."""
    states = work.row.states
    if states is None:
        return
    state = jmespath.search(states.path, description)
    if state in states.broken or state in states.gone:
        reason = description.get("FailureMessage") or jmespath.search("StateReason.Message", description)
        raise ResourceBroken(f"{work} is {state}: {reason or 'AWS gave no reason'}; uninstall it, and install it again")
    if state not in states.ready:
        raise Busy(f"{work} is {state or 'not there yet'}", retry_after=POLL_SECONDS)


def observe(work: Work) -> None:
    """Look again, and note what the blueprint may ask for."""
    description = find(work)
    if description is not None:
        runtime.note(work, description)


def _take_external(work: Work) -> bool:
    """Note the resource that the node names; False if it is not there, but may be made."""
    identifier = work.inputs.get("aws_resource_id") or work.properties.get("resource_id")
    work.config = arguments.of_blueprint(work) if identifier else arguments.planned(work)
    if identifier:
        work.inputs["aws_resource_id"] = identifier
        if work.row.named_by and not work.row.id:
            work.config[work.row.named_by] = identifier
    description = find(work)
    if description is None:
        if work.properties.get("create_if_missing"):
            work.inputs.pop("aws_resource_id", None)
            work.noted[ownership.EXTERNAL] = False
            return False
        raise ResourceMissing(
            f"{work.node.name} uses the external {work.row.noun} {identifier or work.id!r}, which AWS does not have in "
            f"{work.connection.region}: correct resource_id or the region, or set create_if_missing"
        )
    work.noted[ownership.EXTERNAL] = True
    runtime.note(work, description)
    ctx.logger.info("%s is used as it is", work)
    return True


def _made_earlier(work: Work) -> Optional[Description]:
    """Return what an earlier try made, or what the node may use because it exists; None if it has to be made."""
    if work.row.replaces:
        return None
    description = _look(work) if work.noted.get("aws_resource_id") else find(work)
    if description is None:
        if work.noted.get("aws_resource_id"):
            raise Busy(f"{work} was made, but AWS does not show it yet", retry_after=POLL_SECONDS)
        return None
    if _is_mine(work, description):
        ctx.logger.info("%s was made by an earlier try", work)
        return description
    if work.properties.get("use_if_exists"):
        work.noted[ownership.EXTERNAL] = True
        return description
    raise NotOurs(
        f"{work} cannot be made: {_called(work)} exists, and something else made it. Choose another name, or set "
        "use_external_resource or use_if_exists"
    )


def _is_mine(work: Work, description: Description) -> bool:
    """Tell whether the instance made what was found: it noted the id, or the tags or its intention say so."""
    return bool(work.noted.get("aws_resource_id")) or ownership.is_ours(work, description)


def _make(work: Work) -> Description:
    sent = arguments.complete(work, work.config)
    try:
        if work.row.make is not None:
            description = work.row.make(work, sent)
        else:
            answer = work.call(work.row.create.method, sent, once=True)
            description = jmespath.search(work.row.answer, answer) or {}
    except RequestRefused as error:
        _refused(work, error)
    runtime.note_identity(work, description)
    if work.row.made is not None:
        work.row.made(work, description)
    # Saved before anything else is done: from here on the id is known, whatever happens.
    work.instance.update()
    ctx.logger.info("made %s", work)
    return find(work) or description


def _refused(work: Work, error: RequestRefused) -> NoReturn:
    if is_already_there(error.code):
        # It was not there when we looked: it is somebody else's, and must not be taken for ours at the next try.
        ownership.abandon(work)
    raise error


def _remove(work: Work, description: Description) -> None:
    if not work.noted.get("aws_resource_id"):
        # An earlier try made it, and did not come to note it.
        runtime.note(work, description)
    links.untie_all(work, description, at="create")
    if not _state_in(work, description, "ending"):
        _delete_call(work)
    if work.row.states is not None or work.row.look is not None:
        remaining = find(work)
        if remaining is not None:
            raise Busy(f"{work} is being removed", retry_after=POLL_SECONDS)
    ctx.logger.info("removed %s", work)


def _delete_call(work: Work) -> None:
    try:
        if work.row.remove is not None:
            work.row.remove(work)
        elif work.row.delete is not None:
            work.call(work.row.delete, absent=work.row.read.absent if work.row.read else ())
    except NotVisibleYet:
        ctx.logger.info("%s is gone already", work)


def _look(work: Work) -> Optional[Description]:
    """Return the description also of a resource that is gone, as long as AWS shows it."""
    if work.row.look is not None:
        return work.row.look(work)
    if work.id is None and work.row.search is not None:
        return _first(work, work.row.search)
    return _first(work, work.row.read)


def _first(work: Work, read: Optional[Read]) -> Optional[Description]:
    if read is None:
        # What cannot be described is taken to be as it was noted.
        return dict(work.config) if work.noted.get("aws_resource_id") else None
    try:
        answer = work.call(read.call, absent=read.absent)
        path = expand(read.found, work.values())
    except UnknownValue:
        return None
    found: Any = None if answer is None else jmespath.search(path, answer)
    candidates = found if isinstance(found, list) else [found]
    # Among several (of an earlier life of the instance, still shown for a while), the one that lives.
    return min((each for each in candidates if each), key=lambda each: _state_in(work, each, "gone"), default=None)


def _called(work: Work) -> str:
    name = work.values()["name"]
    return f"one named {name!r}" if name else "one in its place"


def _state_in(work: Work, description: Description, kind: str) -> bool:
    states = work.row.states
    return states is not None and jmespath.search(states.path, description) in getattr(states, kind)
