"""Enumerations of the REST API."""


class VisibilityState:
    """Who sees an object."""

    PRIVATE = "private"
    TENANT = "tenant"
    GLOBAL = "global"


class AvailabilityState(VisibilityState):
    """The old name."""


VISIBILITY_EXCEPT_PRIVATE = [VisibilityState.TENANT, VisibilityState.GLOBAL]
VISIBILITY_EXCEPT_GLOBAL = [VisibilityState.PRIVATE, VisibilityState.TENANT]
