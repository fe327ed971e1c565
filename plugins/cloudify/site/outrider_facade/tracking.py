"""`DirtyTrackingDict`: runtime properties as existing plugins know them.

Saving does not depend on the tracking (the SDK compares deeply), but plugins read and set ``dirty``, call
``_set_changed()``, and expect a relationship's target to refuse writes.
"""

import copy

from outrider.plugins.sdk.errors import NonRecoverableError


class DirtyTrackingDict(dict):
    """A dict that notes that it was changed, and refuses changes when it is not modifiable."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.modifiable = True
        self.dirty = False

    def _set_changed(self):
        if not self.modifiable:
            raise NonRecoverableError("cannot modify the runtime properties of relationship instances")
        self.dirty = True

    def __setitem__(self, key, value):
        self._set_changed()
        super().__setitem__(key, value)

    def __delitem__(self, key):
        self._set_changed()
        super().__delitem__(key)

    def update(self, *args, **kwargs):
        """Update like a dict."""
        self._set_changed()
        super().update(*args, **kwargs)

    def __ior__(self, other):
        self.update(other)
        return self

    def setdefault(self, key, default=None):
        """Set like a dict."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self):
        """Clear like a dict."""
        self._set_changed()
        super().clear()

    def pop(self, key, default=None):
        """Remove a key and return its value; a missing one is `default`, never a KeyError."""
        self._set_changed()
        return super().pop(key, default)

    def popitem(self):
        """Remove like a dict."""
        self._set_changed()
        return super().popitem()

    def __deepcopy__(self, memo):
        twin = type(self)()
        dict.update(twin, {key: copy.deepcopy(value, memo) for key, value in self.items()})
        twin.modifiable, twin.dirty = self.modifiable, self.dirty
        return twin

    def __reduce__(self):
        return _rebuilt, (type(self), dict(self), self.modifiable, self.dirty)


def _rebuilt(cls, content, modifiable, dirty):
    twin = cls(content)
    twin.modifiable, twin.dirty = modifiable, dirty
    return twin


class ImmutableProperties(dict):
    """A dict that refuses changes at its top level."""

    def _refuse(self, *_args, **_kwargs):
        raise NonRecoverableError("cannot override read only properties")

    __setitem__ = __delitem__ = update = clear = pop = popitem = setdefault = __ior__ = _refuse

    def __deepcopy__(self, memo):
        return type(self)({key: copy.deepcopy(value, memo) for key, value in self.items()})

    def __reduce__(self):
        return type(self), (dict(self),)
