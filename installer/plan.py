"""Planning an installation: from what the host is and what shall be there to the steps that are left to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from outrider.installer.bundle import HostBundle
from outrider.installer.facts import HostFacts


class Step(str, Enum):
    """What an installation is made of, in order."""

    CONNECT = "connect"
    PROBE = "probe"
    TRANSFER = "transfer"
    VERIFY = "verify"
    ENVIRONMENT = "environment"
    CONFIGURATION = "configuration"
    SERVICE = "service"
    HEARTBEAT = "heartbeat"
    CLEANUP = "cleanup"


@dataclass(frozen=True)
class Plan:
    """What to do on one host."""

    #: Name of the version's folder.
    version: str
    bundle: HostBundle
    #: Step -> why it is not needed.
    skipped: Mapping[Step, str]

    def needs(self, step: Step) -> bool:
        """Return whether a step is to be done."""
        return step not in self.skipped


def plan_installation(facts: HostFacts, bundle: HostBundle) -> Plan:
    """Return the plan that makes the host run the bundle's agent."""
    version = version_folder(facts.versions, bundle)
    skipped: dict[Step, str] = {}
    if facts.versions.get(version) == bundle.sha256:
        reason = f"version {version} is there"
        skipped = {Step.TRANSFER: reason, Step.VERIFY: reason, Step.ENVIRONMENT: reason}
    return Plan(version, bundle, skipped)


def version_folder(versions: Mapping[str, str], bundle: HostBundle) -> str:
    """Return the folder's name for a bundle: its version; with a part of its hash where another build has the name."""
    if versions.get(bundle.version, bundle.sha256) == bundle.sha256:
        return bundle.version
    return f"{bundle.version}+{bundle.sha256[:8]}"
