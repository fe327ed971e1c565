"""What answers a host that brings its agent itself; `app` asks it, and whoever runs a dispatcher brings it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: (agent's id, what the host says) → what it needs; called on a thread. Raises `EnrolmentRefused`, `EnrolmentDelayed`.
Enrol = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
