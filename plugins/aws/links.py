"""Ties resources to related ones: attachments, associations, memberships. Making and undoing one can be repeated."""

from __future__ import annotations

from typing import Any

import jmespath

from outrider.plugins.aws.errors import RequestRefused, ResourceMissing, is_already_there
from outrider.plugins.aws.row import Description, Link
from outrider.plugins.aws.templates import UnknownValue
from outrider.plugins.aws.work import Work
from outrider.plugins.sdk import NonRecoverableError, ctx
from outrider.plugins.sdk.instance import Node

#: By which AWS says that a tie is undone already.
_UNTIED = (
    "Gateway.NotAttached", "InvalidAssociationID.NotFound", "InvalidAttachmentID.NotFound", "NoSuchEntity",
    "TargetNotFound", "InvalidTarget", "InvalidAttachment.NotFound", "TargetGroupNotFound",
)  # fmt: skip


def tie_all(work: Work, description: Description, *, at: str) -> None:
    """Make the ties to all related resources that are due at this point of the lifecycle."""
    for link in work.row.links:
        if link.at == at:
            for end in work.related(link.targets):
                tie(work, link, description, target=_id_of(end.instance.runtime_properties, link, end.node))


def untie_all(work: Work, description: Description, *, at: str) -> None:
    """Undo the ties to all related resources."""
    for link in work.row.links:
        if link.at == at:
            for end in work.related(link.targets):
                target = end.instance.runtime_properties.get(link.take)
                if target:
                    untie(work, link, description, target=str(target))


def tie(work: Work, link: Link, description: Description, *, target: str) -> None:
    """Make one tie, if it is not there."""
    if any(tied["target"] == target for tied in _ties(work, link, description)):
        return
    try:
        work.call(link.attach, target=target)
    except RequestRefused as error:
        if not is_already_there(error.code):
            raise
    ctx.logger.info("%s is tied to %s", work, target)


def untie(work: Work, link: Link, description: Description, *, target: str) -> None:
    """Undo one tie, if it is there."""
    for tied in _ties(work, link, description):
        if tied["target"] == target:
            work.call(link.detach, absent=_UNTIED, target=target, handle=tied.get("handle"))
            ctx.logger.info("%s is no longer tied to %s", work, target)


def link_to(work: Work, target: Node) -> Link:
    """Return how the resource is tied to a resource of the target's type. Raises `NonRecoverableError`."""
    for link in work.row.links:
        if any(name in target.type_hierarchy for name in link.targets):
            return link
    raise NonRecoverableError(f"a {work.row.noun} cannot be tied to {target.name}, which is a {target.type}")


def _ties(work: Work, link: Link, description: Description) -> list[dict[str, Any]]:
    where: Any = description
    if link.listing is not None:
        try:
            where = work.call(link.listing, absent=_UNTIED)
        except UnknownValue:
            return []
    found = jmespath.search(link.ties, where) or []
    return [tied for tied in found if tied and tied.get("target")]


def _id_of(runtime_properties: dict[str, Any], link: Link, node: Node) -> str:
    identifier = runtime_properties.get(link.take)
    if not identifier:
        raise ResourceMissing(f"{node.name} has no {link.take} yet: it has to be created first")
    return str(identifier)
