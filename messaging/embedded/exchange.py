"""An exchange of the embedded broker: which queues a routing key reaches."""

from __future__ import annotations

from collections.abc import Sequence

from outrider.messaging.transport import Binding, Exchange, ExchangeKind


class StoredExchange:
    """An exchange with its bindings."""

    def __init__(self, spec: Exchange) -> None:
        self.spec = spec
        #: Routing key (or pattern) → queues, in the order of binding; dicts serve as ordered sets.
        self._bindings: dict[str, dict[str, None]] = {}

    def bind(self, binding: Binding) -> None:
        """Add a binding; one that exists already is fine."""
        self._bindings.setdefault(binding.routing_key, {})[binding.queue] = None

    def unbind_queue(self, queue: str) -> None:
        """Forget a queue that was deleted."""
        for key in list(self._bindings):
            self._bindings[key].pop(queue, None)
            if not self._bindings[key]:
                del self._bindings[key]

    def route(self, routing_key: str) -> list[str]:
        """Return the names of the queues that a message with this key goes to, each once."""
        if self.spec.kind is ExchangeKind.DIRECT:
            return list(self._bindings.get(routing_key, ()))
        if self.spec.kind is ExchangeKind.FANOUT:
            keys = list(self._bindings)
        else:
            words = routing_key.split(".")
            keys = [key for key in self._bindings if topic_matches(key.split("."), words)]
        return list(dict.fromkeys(queue for key in keys for queue in self._bindings[key]))


def topic_matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether a topic binding's words fit a key's: ``*`` is one word, ``#`` any number of words, also none."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(topic_matches(pattern[1:], words[start:]) for start in range(len(words), -1, -1))
    return bool(words) and pattern[0] in ("*", words[0]) and topic_matches(pattern[1:], words[1:])
