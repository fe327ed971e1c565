"""A deployment of Docker nodes in miniature: calls the plugin's operations one by one, and keeps what they stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import yaml

from outrider.plugins.sdk.testing import OperationRun, Resources, call, instance_data
from tests.support.waiting import wait_until

PLUGIN_YAML = Path(__file__).parents[2] / "plugins" / "docker" / "plugin.yaml"
PREFIX = "outrider.nodes.docker."
DESCRIBED = yaml.safe_load(
    (Path(__file__).parents[2] / "plugins" / "docker" / "plugin.yaml").read_text(encoding="utf-8")
)
#: No test waits longer for an operation that asks to be called again.
MOST_SECONDS = 60.0


@dataclass
class DockerNode:
    """A node with one instance, and its runtime properties between the operations."""

    kind: str
    client_config: Mapping[str, Any]
    properties: Mapping[str, Any] = field(default_factory=dict)
    related: Sequence[DockerNode] = ()
    resources: Optional[Resources] = None
    name: str = ""
    runtime_properties: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.name or self.kind.lower()

    def data(self) -> dict[str, Any]:
        """The instance as a task carries it."""
        defaults = {
            name: declared["default"]
            for each in ("Resource", self.kind)
            for name, declared in DESCRIBED["node_types"][PREFIX + each]["properties"].items()
            if "default" in declared
        }
        return instance_data(
            node=self.name,
            type=PREFIX + self.kind,
            type_hierarchy=["cloudify.nodes.Root", PREFIX + "Resource", PREFIX + self.kind],
            properties={**defaults, "client_config": dict(self.client_config), **self.properties},
            runtime_properties=self.runtime_properties,
            relationships=[other.as_target() for other in self.related],
        )

    def as_target(self) -> dict[str, Any]:
        """The instance as the target of a relationship."""
        return {
            "type": "cloudify.relationships.connected_to",
            "target_node": self.name,
            "target_instance": f"{self.name}_1",
            "target_node_type": PREFIX + self.kind,
            "target_type_hierarchy": ["cloudify.nodes.Root", PREFIX + self.kind],
            "target_properties": {},
            "target_runtime_properties": self.runtime_properties,
        }

    def run(self, operation: str, **inputs: Any) -> OperationRun:
        """Call an operation once, and keep what it stored, however it ended."""
        run = call(self._function(operation), inputs=inputs, node=self.data(), name=operation, resources=self.resources)
        self.runtime_properties = run.runtime_properties
        return run

    def do(self, operation: str, **inputs: Any) -> OperationRun:
        """Call an operation until it no longer asks for another call; fails if it fails."""
        runs: list[OperationRun] = []

        def is_done() -> bool:
            runs.append(self.run(operation, **inputs))
            return not runs[-1].rescheduled

        wait_until(is_done, MOST_SECONDS, f"{operation} of {self.name} to be done")
        runs[-1].value_or_raise()
        return runs[-1]

    def crash(self, operation: str, *, saves: int) -> None:
        """Call an operation whose process dies: only its first `saves` durable saves remain."""
        before = dict(self.runtime_properties)
        run = self.run(operation)
        assert len(run.saves) > saves, f"{operation} saved {len(run.saves)} times only"
        for save in run.saves[:saves]:
            before = {**({} if save.replace else before), **save.set}
        self.runtime_properties = before

    def _function(self, operation: str) -> str:
        for operations in DESCRIBED["node_types"][PREFIX + self.kind]["interfaces"].values():
            if operation in operations:
                found = operations[operation]
                mapping = found if isinstance(found, str) else found["implementation"]
                return str(mapping.partition(".")[2])
        raise KeyError(operation)


def connect(container: DockerNode, network: DockerNode, **inputs: Any) -> OperationRun:
    """Connect a container to a network."""
    function = "outrider.plugins.docker.networks.connect"
    return call(function, inputs=inputs, source=container.data(), target=network.data())
