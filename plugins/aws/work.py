"""One operation on one resource: its row, node, instance, connection, and what the operation was given."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Optional, Union

from outrider.plugins.aws.client import Connection, configuration
from outrider.plugins.aws.row import Call, Row
from outrider.plugins.aws.templates import expand
from outrider.plugins.sdk import ctx
from outrider.plugins.sdk.instance import Instance, Node, RelatedEnd, Relationship

#: Runtime property: the arguments that the resource was made with.
CONFIG = "resource_config"
#: Arguments that may hold secrets or are large: never stored.
NOT_STORED = frozenset({"UserData", "Body", "PublicKeyMaterial", "PrivateKey"})


class Work:
    """What the engine and the functions of the rows work on."""

    def __init__(self, row: Row, node: Node, instance: Instance, inputs: Mapping[str, Any]) -> None:
        self.row = row
        self.node = node
        self.instance = instance
        self.inputs = dict(inputs)
        self.connection = Connection(configuration(node.properties))
        #: The arguments of the create call; those that the resource was made with, once it is.
        self.config: dict[str, Any] = dict(instance.runtime_properties.get(CONFIG) or {})

    @property
    def noted(self) -> dict[str, Any]:
        """The instance's runtime properties."""
        return self.instance.runtime_properties

    @property
    def properties(self) -> dict[str, Any]:
        """The node's properties."""
        return self.node.properties

    @property
    def id(self) -> Optional[str]:
        """The resource's id, if it is known: by the operation's input, noted, or named for an external resource."""
        given = self.inputs.get("aws_resource_id") or self.noted.get("aws_resource_id")
        if not given and self.properties.get("use_external_resource"):
            given = self.properties.get("resource_id")
        return str(given) if given else None

    @cached_property
    def relationships(self) -> list[Relationship]:
        """The instance's relationships."""
        return self.instance.relationships

    def related(self, types: tuple[str, ...]) -> list[RelatedEnd]:
        """Return the related ends whose node is of one of the types, in the blueprint's order."""
        ends = [relationship.target for relationship in self.relationships]
        return [end for end in ends if any(name in end.node.type_hierarchy for name in types)]

    def values(self, **more: Any) -> dict[str, Any]:
        """Return what the placeholders of the row stand for now."""
        return {
            "id": self.id or (self.config.get(self.row.named_by) if not self.row.id else None),
            "name": self.config.get(self.row.named_by),
            "arn": self.noted.get("aws_resource_arn"),
            "token": self.noted.get("aws_client_token"),
            "config": self.config,
            "noted": self.noted,
            "property": self.properties,
            "deployment": ctx.deployment.id,
            "instance": self.instance.id,
            "region": self.connection.region,
            **more,
        }

    def call(
        self,
        call: Union[Call, str],
        arguments: Optional[Mapping[str, Any]] = None,
        *,
        once: bool = False,
        absent: tuple[str, ...] = (),
        **values: Any,
    ) -> Optional[dict[str, Any]]:
        """Make a call of the resource's service, with placeholders replaced; None for a code of `absent`."""
        made = call if isinstance(call, Call) else Call(call)
        expanded = {**expand(made.arguments, self.values(**values)), **(arguments or {})}
        return self.connection.call(
            self.row.service, made.method, expanded, where=self.where(made.method), once=once, absent=absent
        )

    def where(self, doing: str) -> str:
        """Return how an error names what was done, and to what."""
        return f"{doing} of {self}"

    def save_config(self) -> None:
        """Note the arguments of the create call, without those that may hold secrets."""
        self.noted[CONFIG] = {key: value for key, value in self.config.items() if key not in NOT_STORED}

    def __str__(self) -> str:
        known = f" {self.id}" if self.id else ""
        return f"{self.row.noun}{known} ({self.instance.id})"
