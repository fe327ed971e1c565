"""Errors of the installer. Each says what failed, on which host, and, in `remedy`, what to do.

InstallerError
├── BundleError
│   ├── BundleBuildFailed     the agent's wheels could not be collected
│   ├── BundleDamaged         a bundle file is not whole
│   └── BundleUnfit           the bundle has nothing for this host's Python or platform
├── AccessFailed              SSH or sudo does not let us onto the host; `reason` says why
├── NoPython                  the host has no Python that the agent can run on
├── HostUnfit                 the probe found what would make the installation fail
├── HostRefused               a step's action on the host failed; holds the host's answer
│   └── NoAnswer              the action ended without one: what it did is not known
├── StepFailed                a step of an installation failed: wraps one of the above
├── NoHeartbeat               the agent was started and does not report
├── GateFailed                the new version reports, and does not run an operation as it must
├── UpgradeRolledBack         the new version did not pass; the old one runs again
├── UpgradeStuck              the new version did not pass, and the old one does not run either
├── UpgradeUnknown            the host is lost in the middle: nobody knows which version is active
├── AgentRefuses              the agent that was asked over the broker says no
├── OfferRefused              the dispatcher does not offer this release to an agent
├── FleetError                the list of hosts cannot be read
└── BrokerError
    ├── BrokerUnreachable     the management API does not answer
    ├── BrokerRefused         the account may not do what is needed
    ├── AgentNameInvalid      an agent id that would not be safe in the broker's permissions
    └── AgentNameTaken        the id is that of another host's agent
"""

from __future__ import annotations

from outrider.plugins.ssh.access.errors import SshError


class InstallerError(Exception):
    """The root. `remedy` is one sentence for the person who runs the installation; `cause` groups alike failures."""

    default_remedy = ""

    def __init__(self, message: str, *, remedy: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or self.default_remedy
        self.cause = cause or _words(type(self).__name__)

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy[:1].upper()}{self.remedy[1:]}" if self.remedy else self.message


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


class BundleError(InstallerError):
    """Something about the bundle of the agent's wheels."""


class BundleBuildFailed(BundleError):
    """The agent's wheels could not be collected."""


class BundleDamaged(BundleError):
    """A bundle file is not whole."""

    default_remedy = "build it again with `outrider agent bundle`"


class BundleUnfit(BundleError):
    """The bundle has nothing for this host's Python or platform."""


class AccessFailed(InstallerError):
    """SSH or sudo does not let us onto the host, or not any longer; `reason` is the error of that layer."""

    default_remedy = "run the installation again, it continues where it was"

    def __init__(self, reason: SshError) -> None:
        super().__init__(reason.message, remedy=reason.remedy, cause=_words(type(reason).__name__))
        self.reason = reason


class NoPython(InstallerError):
    """The host has no Python that the agent can run on."""


class HostUnfit(InstallerError):
    """The probe found what would make the installation fail; all of it is in the message."""


class HostRefused(InstallerError):
    """A step's action on the host failed; the message is the host's answer."""


class NoAnswer(HostRefused):
    """The action on the host ended without an answer: what it did is not known."""

    default_remedy = "see whether something on the host ends processes, then run this again"


class StepFailed(InstallerError):
    """A step of an installation failed; `__cause__` holds the reason."""

    def __init__(self, host: str, step: str, reason: InstallerError) -> None:
        super().__init__(f"{host}: step {step} failed: {reason.message}", remedy=reason.remedy, cause=reason.cause)
        self.host = host
        self.step = step
        self.reason = reason


class NoHeartbeat(InstallerError):
    """The agent was started and does not report."""


class GateFailed(InstallerError):
    """The new version reports, and does not run an operation as it must."""


class UpgradeRolledBack(InstallerError):
    """The new version did not pass; the old one runs again."""


class UpgradeStuck(InstallerError):
    """The new version did not pass, and the old one does not run either."""


class UpgradeUnknown(InstallerError):
    """The host was lost in the middle of an upgrade: nobody knows which version is active there."""

    default_remedy = "run the upgrade again: it tests the version that it finds, and goes back if that fails"


class AgentRefuses(InstallerError):
    """The agent that was asked over the broker says no."""


class OfferRefused(InstallerError):
    """The dispatcher does not offer this release to an agent."""

    default_remedy = "see the dispatcher's log"


class FleetError(InstallerError):
    """The list of hosts cannot be read."""


class BrokerError(InstallerError):
    """Something about the broker."""


class BrokerUnreachable(BrokerError):
    """The management API does not answer."""


class BrokerRefused(BrokerError):
    """The account may not do what is needed."""


class AgentNameInvalid(BrokerError):
    """An agent id that would not be safe in the broker's permissions."""

    default_remedy = "use letters, digits, `-` and `_`, at most 100 of them"


class AgentNameTaken(BrokerError):
    """The id is that of another host's agent, whose account must not be changed."""

    default_remedy = "choose another service_name in agent_config, or uninstall that agent"
