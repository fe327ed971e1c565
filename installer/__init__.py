"""Puts agents on hosts over SSH, keeps them there, upgrades them and takes them away.

Called by the CLI, by the built-in plugin `agent` (`outrider.installer.plugin`), and as a library. `install_agent` in
`installation` is the main flow; what runs on the host itself is in `onhost`.
"""

from __future__ import annotations

from outrider.installer.account import Account, BrokerAccount
from outrider.installer.broker import (
    AgentAccount,
    BrokerReport,
    Gap,
    check_broker,
    check_name,
    create_account,
    declare_agent,
    make_vhost,
    remove_account,
    setup_broker,
)
from outrider.installer.bundle import Bundle, Target, build_bundle, make_targets, platform_name, target_of
from outrider.installer.configuration import AgentSpec, BrokerAccess
from outrider.installer.errors import AgentNameInvalid, GateFailed, InstallerError, StepFailed
from outrider.installer.facts import HostFacts, Needs, Problem
from outrider.installer.fleet import (
    Cause,
    FleetReport,
    Outcome,
    choose_failed,
    failed_hosts,
    parse_target,
    read_hosts,
    remember_failed,
    run_fleet,
)
from outrider.installer.heartbeats import BrokerHeartbeats, HeartbeatWaiter, broker_heartbeats
from outrider.installer.installation import (
    Diagnosis,
    InstalledAgent,
    ServiceLog,
    doctor,
    install_agent,
    read_log,
    restart_agent,
)
from outrider.installer.plan import Step
from outrider.installer.progress import Observer, StepEvent, StepState
from outrider.installer.ssh import HostKeys, Limits, SshTarget, Sudo
from outrider.installer.uninstallation import Uninstalled, uninstall_agent
from outrider.installer.upgrade import HealthGate, TestOperation, Upgraded, upgrade_agent

__all__ = [
    "Account",
    "AgentAccount",
    "AgentNameInvalid",
    "AgentSpec",
    "BrokerAccess",
    "BrokerAccount",
    "BrokerHeartbeats",
    "BrokerReport",
    "Bundle",
    "Cause",
    "Diagnosis",
    "FleetReport",
    "Gap",
    "GateFailed",
    "HealthGate",
    "HeartbeatWaiter",
    "HostFacts",
    "HostKeys",
    "InstalledAgent",
    "InstallerError",
    "Limits",
    "Needs",
    "Observer",
    "Outcome",
    "Problem",
    "ServiceLog",
    "SshTarget",
    "Step",
    "StepEvent",
    "StepFailed",
    "StepState",
    "Sudo",
    "Target",
    "TestOperation",
    "Uninstalled",
    "Upgraded",
    "broker_heartbeats",
    "build_bundle",
    "check_broker",
    "check_name",
    "choose_failed",
    "create_account",
    "declare_agent",
    "doctor",
    "failed_hosts",
    "install_agent",
    "make_targets",
    "make_vhost",
    "parse_target",
    "platform_name",
    "read_hosts",
    "read_log",
    "remember_failed",
    "remove_account",
    "restart_agent",
    "run_fleet",
    "setup_broker",
    "target_of",
    "uninstall_agent",
    "upgrade_agent",
]
