"""Installs and imports a plugin before its first operation comes, when a dispatcher says that it will.

Asked on the control queue. Nothing depends on it: the operation itself does whatever was not done by then, and reports
its own errors.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from outrider.agent.environments import Environments
from outrider.agent.errors import AgentError
from outrider.agent.runners import Runners
from outrider.messaging.codec import from_json
from outrider.messaging.messages import ControlRequest, FilesRef, PluginRef

logger = logging.getLogger(__name__)

#: Imported by runners after a plugin's modules: prepares what the plugin's libraries make slowly.
AHEAD = "outrider_facade.ahead"


def modules_of(plugin: PluginRef, *first: str) -> tuple[str, ...]:
    """Return what a plugin's runner imports: the modules `first`, what the dispatcher says, and the preparations."""
    return tuple(dict.fromkeys((*first, *plugin.modules, AHEAD)))


class Prewarm:
    """Answers requests to prepare a plugin, one at a time: they are to use what the machine has left."""

    def __init__(self, environments: Environments, runners: Runners) -> None:
        self._environments = environments
        self._runners = runners
        self._one_at_a_time = threading.Lock()
        self._closed = False

    def answer(self, request: ControlRequest) -> dict[str, Any]:
        """Prepare the plugin that the request names; returns whether that was done."""
        plugin = from_json(PluginRef, request.payload["plugin"])
        files = from_json(FilesRef, request.payload["files"])
        with self._one_at_a_time:
            if self._closed:
                return {"prepared": False}
            began = time.monotonic()
            try:
                environment = self._environments.prepare_plugin(plugin, files, lambda _text: None)
                self._environments.used(environment)
                # A runner that knows no module would only have to learn each, one after the other.
                if plugin.modules and not self._closed:
                    self._runners.ensure(self._runners.spec(environment, plugin.mode.value), modules_of(plugin))
            except AgentError as error:
                logger.info("plugin %s %s is not prepared yet: %s", plugin.name, plugin.version, error)
                return {"prepared": False, "reason": str(error)}
            logger.info("plugin %s %s prepared in %.2f s", plugin.name, plugin.version, time.monotonic() - began)
            return {"prepared": True}

    def close(self, *, limit_seconds: float) -> None:
        """Begin nothing more, and wait for what is being done."""
        self._closed = True
        if self._one_at_a_time.acquire(timeout=limit_seconds):
            self._one_at_a_time.release()
