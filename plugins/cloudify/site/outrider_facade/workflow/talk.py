"""Questions to the dispatcher, and what its answers say about a cancel."""

import time

#: A dispatcher that dies is replaced within half a minute; the rest is for agents and brokers.
_TIMEOUT_SECONDS = 180.0
_STATUS_SECONDS = 1.0


class Talk:
    """The way to the dispatcher, over the SDK's channel."""

    def __init__(self, channel):
        self._channel = channel
        self._asked_at = 0.0
        self.cancel = None

    def ask(self, request, **fields):
        """Return the answer. Raises `RequestFailed`, also if the dispatcher refuses."""
        reply = self._channel.request("workflow", {"request": request, **fields}, _TIMEOUT_SECONDS)
        if "cancel" in reply:
            self._note(reply["cancel"])
        elif reply.get("cancelled"):
            self._note(self.cancel or "cancel")
        return reply

    def cancel_kind(self):
        """Return how the execution is being cancelled, None if it is not; asks at most once a second."""
        if self.cancel is None and time.monotonic() - self._asked_at >= _STATUS_SECONDS:
            self._asked_at = time.monotonic()
            self.ask("status")
        return self.cancel

    def _note(self, kind):
        if kind is None:
            return
        first = self.cancel is None
        self.cancel = kind
        if first:
            from cloudify.workflows import api

            api.cancel_request = True
            for callback in list(api.cancel_callbacks):
                callback()
