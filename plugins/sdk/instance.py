"""The node and the instance that an operation works on, as `ctx.node` and `ctx.instance` show them."""

from __future__ import annotations

from outrider.plugins.sdk.errors import NonRecoverableError, RequestNotSupported
from outrider.plugins.sdk.properties import ReadOnlyProperties, TrackedProperties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Optional

    from outrider.plugins.sdk.channel import Channel

#: How long `Instance.refresh` waits for the dispatcher.
REFRESH_TIMEOUT_SECONDS = 30.0


class Node:
    """A node of the deployment. Its properties are read-only; intrinsic functions in them are already evaluated."""

    def __init__(self, *, name: str, type: str, type_hierarchy: list[str], properties: Mapping[str, Any]) -> None:  # noqa: A002 - the language's word
        self.id = name
        self.name = name
        self.type = type
        #: From the root type to this node's own type.
        self.type_hierarchy = type_hierarchy
        self.properties: dict[str, Any] = ReadOnlyProperties(properties)

    def __repr__(self) -> str:
        return f"<node {self.name} of type {self.type}>"


class Relationship:
    """A relationship of the instance, and the read-only end that it points to."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.type: str = data["type"]
        self.type_hierarchy = list(data.get("type_hierarchy") or [self.type])
        self.target = RelatedEnd(data)

    def __repr__(self) -> str:
        return f"<relationship {self.type} to {self.target.instance.id}>"


class RelatedEnd:
    """The node and instance at the other end of a relationship; nothing of it can be modified from here."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        node_type = data.get("target_node_type") or ""
        self.node = Node(
            name=data["target_node"],
            type=node_type,
            type_hierarchy=list(data.get("target_type_hierarchy") or ([node_type] if node_type else [])),
            properties=data.get("target_properties") or {},
        )
        self.instance = RelatedInstance(data["target_instance"], data.get("target_runtime_properties") or {})


class RelatedInstance:
    """An instance that may be read only."""

    def __init__(self, instance_id: str, runtime_properties: Mapping[str, Any]) -> None:
        self.id = instance_id
        self.runtime_properties: dict[str, Any] = ReadOnlyProperties(runtime_properties)

    def __repr__(self) -> str:
        return f"<instance {self.id}, read-only>"


class Instance:
    """The instance that the operation works on."""

    def __init__(self, data: Mapping[str, Any], channel: Channel) -> None:
        self._data = data
        self._channel = channel
        self._relationships: Optional[list[Relationship]] = None
        self.id: str = data["instance"]
        #: 1 for the first instance of the node.
        self.index: int = data.get("index") or 1
        #: The instance of the host that this one is contained in, if any.
        self.host_id: Optional[str] = data.get("host_instance")
        self.tracked = TrackedProperties(
            instance=self.id,
            stored=data.get("runtime_properties") or {},
            version=data.get("version") or 0,
        )

    def __repr__(self) -> str:
        return f"<instance {self.id}>"

    @property
    def runtime_properties(self) -> dict[str, Any]:
        """What is known of the instance at run time; saved when the operation ends, also when it fails."""
        return self.tracked.live

    @runtime_properties.setter
    def runtime_properties(self, values: dict[str, Any]) -> None:
        self.tracked.assign(values)

    @property
    def relationships(self) -> list[Relationship]:
        """The instance's relationships, in the blueprint's order."""
        if self._relationships is None:
            self._relationships = [Relationship(data) for data in self._data.get("relationships") or ()]
        return self._relationships

    @property
    def scaling_groups(self) -> list[dict[str, Any]]:
        """The scaling groups that the instance belongs to."""
        return [dict(group) for group in self._data.get("scaling_groups") or ()]

    @property
    def system_properties(self) -> dict[str, Any]:
        """What workflows keep about the instance."""
        return ReadOnlyProperties(self._data.get("system_properties") or {})

    @property
    def host_ip(self) -> str:
        """The address of the host that the instance lives on.

        Raises `NonRecoverableError` if the instance has no host, or the host has no `ip`.
        """
        if self.host_id == self.id and self.runtime_properties.get("ip"):
            return str(self.runtime_properties["ip"])
        if self._data.get("host_ip"):
            return str(self._data["host_ip"])
        if self.host_id is None:
            raise NonRecoverableError(f"the instance {self.id} is not contained in a host, so it has no host_ip")
        raise NonRecoverableError(
            f"the host {self.host_id} of the instance {self.id} has no address: "
            "neither a runtime property 'ip' nor a node property 'ip'"
        )

    def update(self) -> None:
        """Save changed runtime properties now: they are durable when this returns, whatever happens afterwards.

        Raises `NotJson` if one cannot be saved.
        """
        if not self.tracked.dirty and not self.tracked.assigned:
            return
        diff = self.tracked.changes()
        replace = self.tracked.assigned
        self._channel.save_properties(
            instance=self.id,
            # A replacement names everything that is to stay.
            set=self.tracked.everything() if replace else diff.set,
            delete=diff.delete,
            base_version=self.tracked.version,
            replace=replace,
        )
        self.tracked.saved(diff)

    def refresh(self, *, force: bool = False) -> None:
        """Read the runtime properties again.

        Raises `NonRecoverableError` if there are unsaved changes, unless `force` says to drop them. Where the
        dispatcher is not asked (`RequestNotSupported`), the state that this operation last read or saved comes back.
        """
        if self.tracked.dirty and not force:
            raise NonRecoverableError(
                f"the instance {self.id} has unsaved runtime properties: call update() first, or refresh(force=True)"
            )
        try:
            answer = self._channel.request("instance", {"instance": self.id}, REFRESH_TIMEOUT_SECONDS)
        except RequestNotSupported:
            answer = {}
        self.tracked.reload(stored=answer.get("runtime_properties"), version=answer.get("version"))
