"""All commands of `outrider agent`: each of these modules adds its own to the group."""

from __future__ import annotations

from outrider.cli import agent_control, agent_show, hosts
from outrider.cli.agent import app

__all__ = ["agent_control", "agent_show", "app", "hosts"]
