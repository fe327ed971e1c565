"""Wagons: build, read, verify, choose, and install plugins offline. This is the package's whole public face.

The agent uses `EnvironmentStore`, `choose` and `probe`; the dispatcher `read_wagon`, `wagon_tags` and `build_source`;
the command line all of it. Importing this package is cheap: what only builds need is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import errors
    from .building import BuildTarget, Built, build, build_source, build_targets
    from .collecting import Collected
    from .environment import Environment
    from .errors import WagonError
    from .fitting import Candidate, Reason, archive_tag, check, check_tags, choose, select_wheels, wagon_tags
    from .inspecting import MissingRequirement, Verification, missing_requirements, verify_wagon
    from .limits import DEFAULT_LIMITS, Limits
    from .lockfile import Lock, read_lock, write_lock
    from .progress import Progress, ProgressCallback
    from .sources import source_digest
    from .store import EnvironmentStore
    from .target import Target, probe
    from .wagon import Wagon, WagonWheel, read_wagon

__all__ = [
    "DEFAULT_LIMITS",
    "BuildTarget",
    "Built",
    "Candidate",
    "Collected",
    "Environment",
    "EnvironmentStore",
    "Limits",
    "Lock",
    "MissingRequirement",
    "Progress",
    "ProgressCallback",
    "Reason",
    "Target",
    "Verification",
    "Wagon",
    "WagonError",
    "WagonWheel",
    "archive_tag",
    "build",
    "build_source",
    "build_targets",
    "check",
    "check_tags",
    "choose",
    "errors",
    "missing_requirements",
    "probe",
    "read_lock",
    "read_wagon",
    "select_wheels",
    "source_digest",
    "verify_wagon",
    "wagon_tags",
    "write_lock",
]

#: Where each public name is defined.
_HOMES = {
    "BuildTarget": "building",
    "Built": "building",
    "Candidate": "fitting",
    "Collected": "collecting",
    "DEFAULT_LIMITS": "limits",
    "Environment": "environment",
    "EnvironmentStore": "store",
    "Limits": "limits",
    "Lock": "lockfile",
    "MissingRequirement": "inspecting",
    "Progress": "progress",
    "ProgressCallback": "progress",
    "Reason": "fitting",
    "Target": "target",
    "Verification": "inspecting",
    "Wagon": "wagon",
    "WagonError": "errors",
    "WagonWheel": "wagon",
    "archive_tag": "fitting",
    "build": "building",
    "build_source": "building",
    "build_targets": "building",
    "check": "fitting",
    "check_tags": "fitting",
    "choose": "fitting",
    "missing_requirements": "inspecting",
    "probe": "target",
    "read_lock": "lockfile",
    "read_wagon": "wagon",
    "select_wheels": "fitting",
    "source_digest": "sources",
    "verify_wagon": "inspecting",
    "wagon_tags": "fitting",
    "write_lock": "lockfile",
}


def __getattr__(name: str) -> object:
    """Import what is asked for (PEP 562)."""
    if name == "errors":
        return import_module(".errors", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
