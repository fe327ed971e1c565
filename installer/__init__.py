"""Puts agents on hosts over SSH, keeps them there, upgrades them and takes them away.

Called by the CLI, by the built-in plugin `agent` (`outrider.installer.plugin`), and as a library. `install_agent` in
`installation` is the main flow; what runs on the host itself is in `onhost`.
"""

from __future__ import annotations

from outrider.installer.bundle import Bundle, Target, build_bundle, make_targets
from outrider.installer.configuration import AgentSpec, BrokerAccess
from outrider.installer.errors import InstallerError, StepFailed
from outrider.installer.facts import HostFacts, Needs, Problem
from outrider.installer.heartbeats import BrokerHeartbeats, HeartbeatWaiter, broker_heartbeats
from outrider.installer.installation import Diagnosis, InstalledAgent, doctor, install_agent
from outrider.installer.plan import Step
from outrider.installer.progress import Observer, StepEvent, StepState
from outrider.installer.ssh import HostKeys, Limits, SshTarget, Sudo, parse_target

__all__ = [
    "AgentSpec",
    "BrokerAccess",
    "BrokerHeartbeats",
    "Bundle",
    "Diagnosis",
    "HeartbeatWaiter",
    "HostFacts",
    "HostKeys",
    "InstalledAgent",
    "InstallerError",
    "Limits",
    "Needs",
    "Observer",
    "Problem",
    "SshTarget",
    "Step",
    "StepEvent",
    "StepFailed",
    "StepState",
    "Sudo",
    "Target",
    "broker_heartbeats",
    "build_bundle",
    "doctor",
    "install_agent",
    "make_targets",
    "parse_target",
]
