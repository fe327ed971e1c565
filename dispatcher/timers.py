"""What the engine has to do at a later time."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


#: Entries that the heap may hold beyond two for each alarm: most alarms are dropped long before they are due.
_MOST_STALE = 1000


class Timers(Generic[K]):
    """One alarm per key. Moving or dropping one is cheap: the heap keeps old entries until they surface or are many."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._counter = 0

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def set(self, key: K, when: float) -> None:
        """Set or move the alarm of `key`."""
        known = self._due.get(key)
        self._due[key] = when
        if known is None or when < known:
            self._push(key, when)
        # A later time needs no new entry: the old one surfaces first and is pushed again then.

    def drop(self, key: K) -> None:
        """Forget the alarm of `key`, if there is one."""
        if self._due.pop(key, None) is not None and len(self._heap) > _MOST_STALE + 2 * len(self._due):
            self._heap = [entry for entry in self._heap if entry[2] in self._due]
            heapq.heapify(self._heap)

    def postpone_all(self, until: float) -> None:
        """Move every alarm that is earlier than `until` to `until`."""
        for key, when in self._due.items():
            self._due[key] = max(when, until)

    def due(self, now: float) -> list[K]:
        """Return and forget the keys whose time has come."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            _, _, key = heapq.heappop(self._heap)
            when = self._due.get(key)
            if when is None:
                continue
            if when > now:
                self._push(key, when)
            else:
                del self._due[key]
                found.append(key)
        return found

    def next(self) -> float | None:
        """Return a time at which it is worth calling `due` (never later than the next alarm)."""
        while self._heap and self._heap[0][2] not in self._due:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _push(self, key: K, when: float) -> None:
        self._counter += 1
        heapq.heappush(self._heap, (when, self._counter, key))
