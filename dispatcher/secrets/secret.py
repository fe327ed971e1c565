"""Secrets as values: what anybody may list (`SecretInfo`), and the one with the value (`Secret`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Visibility(str, Enum):
    """Who sees a secret, in the ecosystem's words."""

    #: Whoever created it (enforced by the manager, which knows users).
    PRIVATE = "private"
    #: Everybody in its tenant.
    TENANT = "tenant"
    #: Every tenant that has none of the same name itself.
    GLOBAL = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInfo:
    """A secret without its value."""

    tenant: str
    name: str
    visibility: Visibility = Visibility.TENANT
    #: The value must not be shown to anybody but its creator and operations.
    hidden: bool = False
    created_by: str = ""
    #: JSON Schema that the value fits, if one was given.
    schema: Mapping[str, Any] | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret with its value, which never shows in a repr and thereby in no log and no traceback."""

    info: SecretInfo
    value: Any = field(repr=False)
