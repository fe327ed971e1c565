"""A deployment of AWS nodes in miniature: calls the plugin's operations one by one, and remembers what they stored.

For unit tests; the whole way through dispatcher and agent is an acceptance test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from outrider.plugins.aws import operations
from outrider.plugins.sdk.testing import OperationRun, call, instance_data

LIFECYCLE = "cloudify.interfaces.lifecycle."
#: Types that derive from others in plugin.yaml.
PARENTS = {
    "cloudify.nodes.aws.s3.Bucket": ["cloudify.nodes.aws.s3.BaseBucket"],
    "cloudify.nodes.aws.s3.BucketObject": ["cloudify.nodes.aws.s3.BaseBucketObject"],
}
EC2_BASE = "cloudify.nodes.aws.ec2.BaseType"
#: No test waits for more looks than this.
MOST_LOOKS = 20


@dataclass
class AwsNode:
    """A node with one instance, and its runtime properties between the operations."""

    name: str
    type: str
    client_config: Mapping[str, Any]
    resource_config: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    related: Sequence[AwsNode] = ()
    runtime_properties: dict[str, Any] = field(default_factory=dict)
    resources: Optional[Mapping[str, str]] = None

    @property
    def hierarchy(self) -> list[str]:
        """Its types, the root first."""
        parents = PARENTS.get(self.type) or ([EC2_BASE] if ".ec2." in self.type else [])
        return ["cloudify.nodes.Root", *parents, self.type]

    @property
    def id(self) -> str:
        """What AWS calls it."""
        return str(self.runtime_properties["aws_resource_id"])

    def data(self) -> dict[str, Any]:
        """The instance as a task carries it."""
        return instance_data(
            node=self.name,
            instance=f"{self.name}_1",
            type=self.type,
            type_hierarchy=self.hierarchy,
            properties={
                "client_config": dict(self.client_config),
                "resource_config": dict(self.resource_config),
                **self.properties,
            },
            runtime_properties=self.runtime_properties,
            relationships=[other.as_target() for other in self.related],
        )

    def as_target(self) -> dict[str, Any]:
        """The instance as the target of a relationship."""
        return {
            "type": "cloudify.relationships.connected_to",
            "target_node": self.name,
            "target_instance": f"{self.name}_1",
            "target_node_type": self.type,
            "target_type_hierarchy": self.hierarchy,
            "target_properties": {},
            "target_runtime_properties": self.runtime_properties,
        }

    def run(self, operation: str, *, retry_number: int = 0, **inputs: Any) -> OperationRun:
        """Call an operation once, and keep what it stored, however it ended."""
        run = call(
            getattr(operations, operation),
            inputs=inputs,
            node=self.data(),
            name=LIFECYCLE + operation,
            context={"retry_number": retry_number},
            resources=self.resources,
        )
        self.runtime_properties = run.runtime_properties
        return run

    def do(self, operation: str, **inputs: Any) -> OperationRun:
        """Call an operation until it no longer asks for another call; fails if it fails."""
        for number in range(MOST_LOOKS):
            run = self.run(operation, retry_number=number, **inputs)
            if not run.rescheduled:
                run.value_or_raise()
                return run
        raise AssertionError(f"{operation} of {self.name} asked for {MOST_LOOKS} further calls: {run.error}")

    def crash(self, operation: str, *, saves: Optional[int] = None, **inputs: Any) -> OperationRun:
        """Call an operation whose process dies: only its first `saves` durable saves remain (None: all of them)."""
        before = dict(self.runtime_properties)
        run = call(getattr(operations, operation), inputs=inputs, node=self.data(), name=LIFECYCLE + operation)
        stored = before
        for save in run.saves[:saves]:
            stored = {**({} if save.replace else stored), **save.set}
            for key in save.delete:
                stored.pop(key, None)
        self.runtime_properties = stored
        return run


def relate(operation: str, source: AwsNode, target: AwsNode) -> OperationRun:
    """Call a relationship operation."""
    return call(getattr(operations, operation), source=source.data(), target=target.data(), name=operation)
