"""Makes the arguments of a create call: from the blueprint, the related nodes, and what the row adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jmespath

from outrider.plugins.aws import ownership
from outrider.plugins.aws.row import Fill
from outrider.plugins.aws.work import Work


def of_blueprint(work: Work) -> dict[str, Any]:
    """Return what the blueprint gives: the operation's input `resource_config` over the node's property.

    Both may hold arguments under `kwargs`, as the ecosystem's blueprints do, or beside it; null means not given.
    """
    given: dict[str, Any] = {}
    for source in (work.properties.get("resource_config"), work.inputs.get("resource_config")):
        flat = dict(source or {}) if isinstance(source, Mapping) else {}
        given.update({key: value for key, value in flat.items() if key != "kwargs" and value is not None})
        given.update({key: value for key, value in (flat.get("kwargs") or {}).items() if value is not None})
    return given


def planned(work: Work) -> dict[str, Any]:
    """Return the arguments without tags and token: what drift is measured against."""
    config = {**work.row.create.arguments, **of_blueprint(work)}
    for fill in work.row.fills:
        if not config.get(fill.argument):
            _fill(work, fill, config)
    if work.row.named_by and not config.get(work.row.named_by):
        config[work.row.named_by] = ownership.name_for(work)
    return work.row.prepare(work, config) if work.row.prepare else config


def complete(work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """Return the planned arguments with tags and the client token, as they are sent."""
    sent = ownership.add_tags(work, config)
    token = ownership.intend(work)
    return {**sent, work.row.idempotent_by: token} if work.row.idempotent_by else sent


def _fill(work: Work, fill: Fill, config: dict[str, Any]) -> None:
    found = [end.instance.runtime_properties.get(fill.take) for end in work.related(fill.targets)]
    shaped = [jmespath.search(fill.shape, value) for value in found if value]
    if shaped:
        config[fill.argument] = shaped if fill.many else shaped[0]
