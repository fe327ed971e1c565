"""Whose a resource is: tags, the mark of an intention, and names.

A resource carries the deployment and the instance that it belongs to as tags. Before a create call the instance notes a
client token, durably: so a later attempt knows that an earlier one meant to make the resource. It is the call's
idempotency token where AWS takes one; where a resource has no tags, the noted intention and the name tell that it is
ours, because nothing of that name was there when the token was noted.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from outrider.plugins.aws.row import Description
from outrider.plugins.aws.work import Work
from outrider.plugins.sdk import ctx

DEPLOYMENT_TAG = "outrider:deployment"
INSTANCE_TAG = "outrider:instance"
#: Runtime property: the token of the create call that was about to be made.
TOKEN = "aws_client_token"  # noqa: S105 - a name
#: Runtime property: the resource belongs to somebody else.
EXTERNAL = "aws_external"


def tags(work: Work) -> list[dict[str, str]]:
    """Return the tags of a new resource: the node's property `Tags`, and whose it is."""
    given = work.properties.get("Tags") or []
    pairs = given.items() if isinstance(given, Mapping) else [(tag["Key"], tag["Value"]) for tag in given]
    chosen = {str(key): str(value) for key, value in pairs}
    chosen.update({DEPLOYMENT_TAG: ctx.deployment.id, INSTANCE_TAG: work.instance.id})
    return [{"Key": key, "Value": value} for key, value in chosen.items()]


def add_tags(work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the create call with the tags in the place where it takes them."""
    tagging = work.row.tagging
    if tagging is None or not tagging.argument:
        return config
    ours = tags(work)
    if tagging.argument != "TagSpecifications":
        return {**config, tagging.argument: _merged(config.get(tagging.argument) or [], ours)}
    specifications = [dict(each) for each in config.get("TagSpecifications") or []]
    own = next((each for each in specifications if each["ResourceType"] == tagging.resource_type), None)
    if own is None:
        specifications.append({"ResourceType": tagging.resource_type, "Tags": ours})
    else:
        own["Tags"] = _merged(own.get("Tags") or [], ours)
    return {**config, "TagSpecifications": specifications}


def is_ours(work: Work, description: Description) -> bool:
    """Tell whether this instance made the resource that was found under its tags or its name."""
    found = tags_of(description)
    if INSTANCE_TAG in found:
        return found[INSTANCE_TAG] == work.instance.id and found.get(DEPLOYMENT_TAG) == ctx.deployment.id
    return bool(work.noted.get(TOKEN))


def tags_of(description: Description) -> dict[str, str]:
    """Return a description's tags by key."""
    listed = description.get("Tags") or description.get("TagSet") or []
    return {tag["Key"]: tag.get("Value", "") for tag in listed if "Key" in tag}


def intend(work: Work) -> str:
    """Note, durably, that the resource is about to be made; returns the token, the same at each try."""
    if not work.noted.get(TOKEN):
        work.noted[TOKEN] = uuid.uuid4().hex
        work.save_config()
        work.instance.update()
    return str(work.noted[TOKEN])


def abandon(work: Work) -> None:
    """Take the intention back: AWS said for sure that the call made nothing."""
    work.noted.pop(TOKEN, None)


def is_external(work: Work) -> bool:
    """Tell whether the resource is somebody else's: it is neither changed nor removed, unless an input forces it."""
    if work.inputs.get("force_operation"):
        return False
    noted = work.noted.get(EXTERNAL)
    return bool(work.properties.get("use_external_resource") if noted is None else noted)


def name_for(work: Work) -> str:
    """Return a name for a resource whose blueprint gives none: the property `resource_id`, else made from the ids.

    A name that is too long is cut, and ends in a digest of all of it.
    """
    given = work.properties.get("resource_id")
    if given:
        return str(given)
    name = re.sub(r"[^a-z0-9-]+", "-", f"{ctx.deployment.id}-{work.instance.id}".lower()).strip("-")
    length = work.row.name_length
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: length - 9].rstrip('-')}-{digest}"


def _merged(given: Iterable[Mapping[str, str]], ours: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    merged = {tag["Key"]: tag["Value"] for tag in (*given, *ours)}
    return [{"Key": key, "Value": value} for key, value in merged.items()]
