"""The embedded broker's clock: a thread that runs only while a message with a limited life waits in a queue."""

from __future__ import annotations

import threading
from typing import Callable, Optional


class ExpiryThread:
    """Calls `expire` when the next message is due; starts at the first `wake_at` and ends when nothing is left."""

    def __init__(
        self, lock: threading.RLock, *, clock: Callable[[], float], expire: Callable[[], Optional[float]]
    ) -> None:
        self._changed = threading.Condition(lock)
        self._clock = clock
        self._expire = expire
        self._due_at: Optional[float] = None
        self._thread: Optional[threading.Thread] = None

    def wake_at(self, moment: float) -> None:
        """Make sure that `expire` is called at this moment or earlier. The broker's lock is held."""
        if self._due_at is not None and self._due_at <= moment:
            return
        self._due_at = moment
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outrider-embedded-expiry", daemon=True)
            self._thread.start()
        else:
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; a later `wake_at` starts another one."""
        with self._changed:
            thread, self._due_at = self._thread, None
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        with self._changed:
            while self._due_at is not None:
                delay = self._due_at - self._clock()
                if delay > 0:
                    self._changed.wait(delay)
                else:
                    self._due_at = self._expire()
            self._thread = None
