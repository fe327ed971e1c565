"""Node properties, which are read-only, and runtime properties, whose changes are found by comparing.

`context` builds them. Comparing deeply at save, instead of watching assignments, is what keeps an edit inside a nested
list or dict from being lost.
"""

from __future__ import annotations

from copy import deepcopy

from outrider.plugins.sdk.errors import NonRecoverableError
from outrider.plugins.sdk.values import as_json, canonical_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn, Optional


class ReadOnlyProperties(dict):  # type: ignore[type-arg]  # dict[str, Any] as a base costs an alias object per import
    """Properties that an operation may read but not assign; a dict, so that they serialise and compare like one."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise NonRecoverableError("these properties cannot be modified from here")

    __setitem__ = __delitem__ = update = setdefault = clear = pop = popitem = _refuse
    __ior__ = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        """Return a plain dict: a copy belongs to who makes it."""
        return {key: deepcopy(value, memo) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor: item assignment is refused."""
        return type(self), (dict(self),)


class PropertyDiff:
    """What changed between two states of an instance's runtime properties, by top-level key."""

    __slots__ = ("delete", "set")

    def __init__(self, *, before: Mapping[str, Any], after: Mapping[str, Any], instance: str) -> None:
        self.set: dict[str, Any] = {}
        for key, value in after.items():
            if not isinstance(key, str):
                raise NonRecoverableError(f"the runtime property {key!r} of {instance} must have a text as its name")
            clean = as_json(value, what=f"the runtime property {key!r} of {instance}")
            if key not in before or canonical_text(clean) != canonical_text(before[key]):
                self.set[key] = clean
        self.delete = [key for key in before if key not in after]

    def __bool__(self) -> bool:
        return bool(self.set or self.delete)


class TrackedProperties:
    """The runtime properties of one instance: what is stored, and the dict that the operation works on."""

    def __init__(self, *, instance: str, stored: Mapping[str, Any], version: int) -> None:
        self.instance = instance
        self.version = version
        self._stored: dict[str, Any] = dict(stored)
        self._live: Optional[dict[str, Any]] = None
        self._assigned = False

    @property
    def live(self) -> dict[str, Any]:
        """The dict that the operation reads and changes; copied from what is stored at the first access."""
        if self._live is None:
            self._live = deepcopy(self._stored)
        return self._live

    def assign(self, values: dict[str, Any]) -> None:
        """Replace the whole mapping; the given dict itself is what the operation sees from now on."""
        self._live = values
        self._assigned = True

    def present(self, values: dict[str, Any]) -> None:
        """Let another dict type with the same content stand for the live mapping (the facade's tracking dict)."""
        self._live = values

    def changes(self) -> PropertyDiff:
        """Return what a save would write. Raises `NotJson`."""
        return PropertyDiff(before=self._stored, after=self.live, instance=self.instance)

    def everything(self) -> dict[str, Any]:
        """Return the whole mapping as it would be saved. Raises `NotJson`."""
        return PropertyDiff(before={}, after=self.live, instance=self.instance).set

    @property
    def dirty(self) -> bool:
        """Whether there is something to save."""
        return self._live is not None and bool(self.changes())

    @property
    def assigned(self) -> bool:
        """Whether the whole mapping was assigned since the last save."""
        return self._assigned

    def saved(self, diff: PropertyDiff) -> None:
        """Remember that these changes are recorded."""
        self._stored.update(diff.set)
        for key in diff.delete:
            self._stored.pop(key, None)
        self._assigned = False

    def reload(self, *, stored: Optional[Mapping[str, Any]], version: Optional[int]) -> None:
        """Forget what is not saved; take over a newer state if one is given. The live dict stays the same object."""
        if stored is not None:
            self._stored = dict(stored)
        if version is not None:
            self.version = version
        if self._live is not None:
            dict.clear(self._live)
            dict.update(self._live, deepcopy(self._stored))
        self._assigned = False
