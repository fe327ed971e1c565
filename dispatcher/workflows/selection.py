"""Which instances a workflow is about: the filters that its parameters give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outrider.dispatcher.workflows.topology import node_types
from outrider.dispatcher.workflows.view import DeploymentView


def select(view: DeploymentView, parameters: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of the instances that match all filters; an empty filter matches everything.

    Names that the deployment does not have match nothing and are no error: one set of parameters is often used for a
    whole group of deployments.
    """
    types = set(parameters.get("type_names") or ())
    nodes = set(parameters.get("node_ids") or ())
    instances = set(parameters.get("node_instance_ids") or ())
    if not (types or nodes or instances):
        return frozenset(view.instances)
    fitting = {
        name
        for name, node in view.nodes.items()
        if (not nodes or name in nodes) and (not types or not types.isdisjoint(node_types(node)))
    }
    return frozenset(
        each.id for each in view.instances.values() if each.node in fitting and (not instances or each.id in instances)
    )
