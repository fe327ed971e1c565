"""What plugin.yaml names: the operations of all resource types, and of the relationships between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.plugins.aws import drift, engine, links, ownership
from outrider.plugins.aws.errors import RequestRefused
from outrider.plugins.aws.row import Call
from outrider.plugins.aws.table import row_of
from outrider.plugins.aws.work import Work
from outrider.plugins.sdk import NonRecoverableError, ctx, operation


@operation(resumable=True)
def create(**inputs: Any) -> None:
    """Make the resource, or find it; returns when it is ready."""
    engine.create(_work(inputs))


@operation(resumable=True)
def start(**inputs: Any) -> None:
    """Attach or associate the resource; start a machine."""
    engine.start(_work(inputs))


@operation(resumable=True)
def refresh(**inputs: Any) -> None:
    """Note the resource's attributes as they are now."""
    engine.observe(_work(inputs))


@operation(resumable=True)
def stop(**inputs: Any) -> None:
    """Undo what start did."""
    engine.stop(_work(inputs))


@operation(resumable=True)
def delete(**inputs: Any) -> None:
    """Remove the resource; returns when it is gone."""
    engine.delete(_work(inputs))


@operation(resumable=True)
def modify(**inputs: Any) -> None:
    """Change attributes: the input `resource_config` is passed to the service's modify call."""
    work = _work(inputs)
    if work.row.modify is None:
        raise NonRecoverableError(f"a {work.row.noun} has no attributes that can be modified")
    given = inputs.get("resource_config")
    if not given:
        raise RequestRefused(f"{work}: give the attributes as the input resource_config", code="NothingToModify")
    if not ownership.is_external(work):
        work.call(Call(work.row.modify.method, work.row.modify.arguments), given)
        engine.observe(work)


@operation(resumable=True)
def check_status(**inputs: Any) -> dict[str, Any]:
    """Return ``{"status": "OK"}`` if the resource is there and ready; fails with what is wrong otherwise."""
    work = _work(inputs)
    engine.wait_until_ready(work, engine.required(work))
    return {"status": "OK", "aws_resource_id": work.id}


@operation(resumable=True)
def check_drift(**inputs: Any) -> Optional[dict[str, Any]]:
    """Return what differs from the blueprint, or None."""
    return drift.check(_work(inputs))


@operation(resumable=True)
def tie(**inputs: Any) -> None:
    """Tie the relationship's source to its target."""
    work, target = _source(inputs), ctx.target
    link = links.link_to(work, target.node)
    identifier = target.instance.runtime_properties.get(link.take)
    if not identifier:
        raise NonRecoverableError(f"{target.instance.id} has no {link.take}: it has to be created first")
    links.tie(work, link, engine.required(work), target=str(identifier))


@operation(resumable=True)
def untie(**inputs: Any) -> None:
    """Undo the tie between the relationship's source and its target."""
    work, target = _source(inputs), ctx.target
    link = links.link_to(work, target.node)
    identifier = target.instance.runtime_properties.get(link.take)
    description = engine.find(work)
    if identifier and description is not None:
        links.untie(work, link, description, target=str(identifier))


def _work(inputs: Mapping[str, Any]) -> Work:
    """Return the work of a node operation; its inputs may override runtime properties."""
    work = Work(row_of(ctx.node.type_hierarchy), ctx.node, ctx.instance, inputs)
    overrides = inputs.get("runtime_properties")
    if isinstance(overrides, Mapping):
        work.noted.update(overrides)
    return work


def _source(inputs: Mapping[str, Any]) -> Work:
    return Work(row_of(ctx.source.node.type_hierarchy), ctx.source.node, ctx.source.instance, inputs)
