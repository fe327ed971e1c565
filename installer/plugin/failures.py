"""What an installation's failure means for the operation: try again, try again a few times, or leave it to a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from outrider.installer.errors import (
    AccessFailed,
    AgentNameInvalid,
    AgentNameTaken,
    AgentRefuses,
    BrokerRefused,
    BrokerUnreachable,
    BundleDamaged,
    BundleUnfit,
    InstallerError,
    NoPython,
    OfferRefused,
    StepFailed,
    UpgradeRolledBack,
)
from outrider.installer.plugin.wishes import WishInvalid
from outrider.messaging.errors import MessagingError
from outrider.plugins.sdk import NonRecoverableError, RecoverableError
from outrider.plugins.ssh.access.errors import (
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    KeyUnusable,
    LoginRefused,
    SshError,
    SudoError,
)

#: Nothing but a person changes these.
_FINAL = (
    AgentNameInvalid,
    AgentNameTaken,
    AgentRefuses,
    BrokerRefused,
    BundleDamaged,
    BundleUnfit,
    HostKeyChanged,
    HostKeyUnknown,
    KeyUnusable,
    NoPython,
    OfferRefused,
    SudoError,
    UpgradeRolledBack,
    WishInvalid,
)
#: A host that boots is not there yet, and a line that broke may hold the next time: as often as the operation may.
_PASSING = (BrokerUnreachable, ConnectionLost, HostUnreachable, MessagingError)
#: A host that has just booted refuses a key that its first-boot script has not laid yet, and its clock may be wrong.
#: What is still so after these tries will stay so.
SETTLING_TRIES = 4


def is_final(error: Exception, *, retry_number: int, patient: bool = True) -> bool:
    """Tell whether trying again would not help. Pure.

    `patient`: a host that cannot be reached is waited for. To one that shall go that is not done for long, because it
    may be dead, which is often the very reason.
    """
    reason = reason_of(error)
    if isinstance(reason, _FINAL):
        return True
    passes = patient and isinstance(reason, _PASSING)
    return not passes and retry_number >= SETTLING_TRIES


def reason_of(error: BaseException) -> BaseException:
    """Return what made a step fail."""
    while isinstance(error, (StepFailed, AccessFailed)):
        error = error.reason
    return error


@contextlib.contextmanager
def translated(*, retry_number: int, patient: bool = True) -> Iterator[None]:
    """Turn errors of the installer and the broker into those that say how an attempt ends (see `is_final`)."""
    try:
        yield
    except (InstallerError, SshError, MessagingError) as error:
        text = f"{str(error).rstrip('.')}. Once mended, resume the execution"
        if is_final(error, retry_number=retry_number, patient=patient):
            wrong_login = isinstance(reason_of(error), LoginRefused)
            hint = f" (it was tried {retry_number + 1} times)" if wrong_login else ""
            raise NonRecoverableError(f"{text}{hint}") from error
        raise RecoverableError(str(error)) from error
