"""How far an install or a build is, told to whoever shows it: the agent's logs, the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` steps of a stage (verify, unpack, link, download, build, pack), and what is worked on."""

    stage: str
    done: int
    total: int
    detail: str = ""


ProgressCallback = Callable[[Progress], None]


def ignore(_progress: Progress) -> None:
    """The callback for those who do not watch."""
