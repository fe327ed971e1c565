"""Wagons: build, read, verify, choose, and install plugins offline. This is the package's whole public face."""

from __future__ import annotations

from .environment import Environment
from .errors import WagonError
from .fitting import Reason, check, choose, wagon_tags
from .limits import DEFAULT_LIMITS, Limits
from .progress import Progress, ProgressCallback
from .store import Collected, EnvironmentStore
from .target import Target, probe
from .wagon import Wagon, read_wagon

__all__ = [
    "DEFAULT_LIMITS",
    "Collected",
    "Environment",
    "EnvironmentStore",
    "Limits",
    "Progress",
    "ProgressCallback",
    "Reason",
    "Target",
    "Wagon",
    "WagonError",
    "check",
    "choose",
    "probe",
    "read_wagon",
    "wagon_tags",
]
