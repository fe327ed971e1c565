"""A received message's properties, of whatever a publisher made them.

The broker passes headers on unread, and who may publish anything may publish what pika cannot decode (a time beyond the
year 9999). pika gives up the connection then, gets the same message again on the next one, and so on, with all
consumers of that connection: one agent's account could keep every dispatcher from working. So what cannot be decoded
is noted instead, and `consumer` rejects that message alone.
"""

from __future__ import annotations

from typing import Optional

from pika import spec


class Properties(spec.BasicProperties):  # type: ignore[misc]  # pika has no types for what it generates
    """The properties of one message; `unreadable` says why they are not known."""

    unreadable: Optional[str] = None

    def decode(self, encoded: bytes, offset: int = 0) -> Properties:
        """Decode a frame's payload."""
        try:
            super().decode(encoded, offset)
        except Exception as error:  # noqa: BLE001 - pika decodes with many functions, none of which checks its input
            self.__init__()  # type: ignore[misc]  # none rather than some
            self.unreadable = f"{type(error).__name__}: {error}"
        return self


# The table that pika's frame decoder looks into; there is no other place to say it.
spec.props[spec.Basic.INDEX] = Properties
