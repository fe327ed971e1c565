"""Enumerations of the REST API."""

from outrider_facade import further_names

__getattr__ = further_names(__name__)


class VisibilityState:
    """Who sees an object."""

    PRIVATE = "private"
    TENANT = "tenant"
    GLOBAL = "global"


class AvailabilityState(VisibilityState):
    """The old name."""


VISIBILITY_EXCEPT_PRIVATE = [VisibilityState.TENANT, VisibilityState.GLOBAL]
VISIBILITY_EXCEPT_GLOBAL = [VisibilityState.PRIVATE, VisibilityState.TENANT]
