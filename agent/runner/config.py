"""What the agent tells a runner: one file, written before the runner starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Optional

from outrider.agent.runner.protocol import CONFIG_NAME, VERSION


class RunnerConfig(NamedTuple):
    """Everything that a runner and its children go by."""

    runner_id: str
    #: ``fork``, or ``spawn`` for a fresh interpreter per operation.
    mode: str
    #: Modules of the plugin to import ahead (fork only).
    modules: tuple[str, ...]
    waiting_children: int
    idle_seconds: float
    import_seconds: float
    grace_seconds: float
    memory_limit_bytes: Optional[int]
    output_limit_bytes: int
    updates_limit_bytes: int
    #: Cache of blueprint resources by hash, shared by all runners of an agent.
    resources_folder: str
    #: Whether control groups may be used; tests of the other way switch it off.
    use_groups: bool = True
    #: Why the mode is ``spawn`` although ``fork`` was asked for.
    objection: Optional[str] = None
    protocol: int = VERSION

    def write(self, folder: Path) -> None:
        """Write this for the runner that will live in `folder`."""
        (folder / CONFIG_NAME).write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> RunnerConfig:
        """Return the configuration that `to_json` wrote; fields that this version does not know are ignored."""
        data: dict[str, Any] = json.loads(text)
        known = {name: data[name] for name in cls._fields if name in data}
        known["modules"] = tuple(known.get("modules", ()))
        return cls(**known)

    @classmethod
    def read(cls, folder: Path) -> RunnerConfig:
        """Return what `write` wrote."""
        return cls.from_json((folder / CONFIG_NAME).read_text(encoding="utf-8"))
