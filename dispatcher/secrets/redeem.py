"""Which secrets a running attempt may redeem: those that its task names, and no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from outrider.dispatcher.secrets.errors import NotRedeemable
from outrider.dispatcher.secrets.store import SecretStore


def redeemable(listed: Collection[str], requested: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names to redeem: those requested, or all that the task lists when the request names none.

    `listed` is `OperationTask.secrets` as it was *stored* when the task was sent, not as the agent repeats it. The
    caller has checked before that the attempt's token is right and that the attempt is still open. Raises
    NotRedeemable with every name that is not listed.
    """
    wanted = tuple(dict.fromkeys(listed if requested is None else requested))
    foreign = [name for name in wanted if name not in listed]
    if foreign:
        raise NotRedeemable(foreign)
    return wanted


def redeem_secrets(
    store: SecretStore, tenant: str, *, listed: Collection[str], requested: Iterable[str] | None
) -> Mapping[str, Any]:
    """Return name → value for a request; raises NotRedeemable, SecretMissing, SecretUnreadable."""
    return store.values(tenant, redeemable(listed, requested))
