"""Operations of `outrider.nodes.docker.Registry`: check that it answers and takes the credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from outrider.plugins.docker.client import engine
from outrider.plugins.sdk import ctx, operation


def credentials(registry: Mapping[str, Any]) -> Optional[dict[str, str]]:
    """Return the credentials of a registry's properties as the engine wants them, or None."""
    if not registry.get("username"):
        return None
    return {"username": registry["username"], "password": registry.get("password") or ""}


@operation(resumable=True)
def check(**_: Any) -> None:
    """Let the engine log in at the registry, where it has credentials; remembers its address."""
    properties = ctx.node.properties
    account = credentials(properties)
    if account is not None:
        with engine(properties) as client:
            # Nothing is stored in the engine or in a file: each pull sends the credentials along.
            client.login(registry=properties["address"], reauth=True, dockercfg_path="/dev/null", **account)
        ctx.logger.info("%s takes the credentials", properties["address"])
    ctx.instance.runtime_properties["address"] = properties["address"]


@operation(resumable=True)
def forget(**_: Any) -> None:
    """Forget the registry's address."""
    ctx.instance.runtime_properties.clear()
