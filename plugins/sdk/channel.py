"""What an operation's process needs from the agent, as an interface.

`outrider.agent.runner.channel` implements it with a file that the agent reads, `sdk.testing` in memory. The SDK itself
opens no connection and writes no file outside `Channel.work_dir`.
"""

from __future__ import annotations

from typing import Any, Protocol


class Channel(Protocol):
    """The operation's way out. All methods may be called from any thread."""

    @property
    def work_dir(self) -> str:
        """An existing scratch folder of this attempt; it is removed after the attempt."""

    def log(self, *, level: str, logger: str, message: str, time: float) -> None:
        """Forward one log record; `level` is a lower-case name such as ``info``, `time` is seconds since the epoch."""

    def event(self, *, event_type: str, message: str) -> None:
        """Forward one event, shown in the execution's history."""

    def save_properties(
        self,
        *,
        instance: str,
        set: dict[str, Any],  # noqa: A002 - the field's name in the message
        delete: list[str],
        base_version: int,
        replace: bool,
    ) -> None:
        """Record changes of an instance's runtime properties; they are on disk (fsynced) when this returns."""

    def resource(self, path: str) -> str:
        """Return the path of a local copy of a blueprint resource, fetched on demand; do not write to it.

        Raises `ResourceNotFound`.
        """

    def resources(self, prefix: str) -> list[str]:
        """Return the paths of all blueprint resources that start with `prefix`."""

    def request(self, kind: str, payload: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Ask the dispatcher. Raises `RequestFailed`, or `RequestNotSupported` where nobody answers this kind."""
