"""Finds what an operation's or a workflow's implementation names: a plugin's function, a script, a URL, inline text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from outrider.dispatcher.blueprint.model import Plugin
from outrider.dispatcher.blueprint.operations import AUTO, Operation
from outrider.dispatcher.blueprint.problems import nearest
from outrider.dispatcher.blueprint.resolver import find_script, is_url
from outrider.dispatcher.blueprint.settings import Settings

SCRIPT_PLUGIN = "script"
RUN_SCRIPT = "script_runner.tasks.run"
RUN_WORKFLOW_SCRIPT = "script_runner.tasks.execute_workflow"
SCRIPT_PATH, SCRIPT_SOURCE = "script_path", "script_source"


class NoPlugin(Exception):
    """The implementation names nothing that exists."""


class Ambiguous(Exception):
    """Two plugins could be meant."""


class ReservedInput(Exception):
    """The operation sets an input that its implementation sets."""


@dataclass(frozen=True)
class Target:
    """What an implementation names."""

    plugin: str = ""
    #: The function's path inside the plugin.
    function: str = ""
    #: script_path or script_source.
    inputs: Mapping[str, str] = field(default_factory=dict)


class Implementations:
    """Looks implementations up, each text once."""

    def __init__(
        self,
        plugins: Mapping[str, Plugin],
        root: Path,
        settings: Settings,
        *,
        namespaces: Mapping[str, str],
        plain_namespaces: Collection[str],
    ) -> None:
        self._plugins = plugins
        self._root = root
        self._settings = settings
        #: Namespace -> the uploaded blueprint whose files it stands for.
        self._namespaces = namespaces
        #: Namespaces of files that lie beside this blueprint.
        self._plain_namespaces = sorted(plain_namespaces, key=len, reverse=True)
        self._known: dict[str, Target] = {}

    def find(self, implementation: str) -> Target:
        """Return what an operation's implementation names; raises `NoPlugin` and `Ambiguous`."""
        if not implementation:
            return Target()
        if implementation not in self._known:
            self._known[implementation] = self._look_up(implementation)
        return self._known[implementation]

    def _look_up(self, implementation: str) -> Target:
        candidates = self._candidates(implementation)
        if len(candidates) > 1:
            raise Ambiguous(f"{implementation!r} could belong to the plugins {', '.join(sorted(candidates))}")
        if candidates:
            return Target(plugin=candidates[0], function=implementation[len(candidates[0]) + 1 :])
        script = implementation if is_url(implementation) else self._script(implementation)
        if script is not None:
            return Target(SCRIPT_PLUGIN, RUN_SCRIPT, {SCRIPT_PATH: script})
        if "\n" in implementation:
            return Target(SCRIPT_PLUGIN, RUN_SCRIPT, {SCRIPT_SOURCE: implementation})
        raise NoPlugin(f"{implementation!r} names no plugin of the blueprint, and no file beside it")

    def _candidates(self, implementation: str) -> list[str]:
        if "\n" in implementation:
            return []
        parts = implementation.split(".")
        prefixes = (".".join(parts[:length]) for length in range(1, len(parts)))
        return [prefix for prefix in prefixes if prefix in self._plugins]

    def _script(self, implementation: str) -> Optional[str]:
        """Return the path by which a script is asked for later, or None when it is no script.

        A file imported under a namespace lies in this blueprint's folder, so its scripts are asked for without the
        namespace. An imported blueprint has a folder of its own: there the namespace stays, and the plan's
        ``namespaces_mapping`` tells whose it is. Its scripts were found when it was uploaded.
        """
        if find_script(implementation, self._root, self._settings):
            return implementation
        for namespace in self._plain_namespaces:
            bare = implementation.removeprefix(f"{namespace}--")
            if bare != implementation and find_script(bare, self._root, self._settings):
                return bare
        if any(implementation.startswith(f"{namespace}--") for namespace in self._namespaces):
            return implementation
        return None

    def suggestion(self, implementation: str) -> Optional[str]:
        """Return the implementation with the plugin that was probably meant."""
        head, dot, rest = implementation.partition(".")
        meant = nearest(head, self._plugins)
        return f"{meant}{dot}{rest}" if meant and rest else None

    def record(self, operation: Operation) -> dict[str, Any]:
        """Return an operation as the plan shows it; raises `NoPlugin`, `Ambiguous` and `ReservedInput`."""
        target = self.find(operation.implementation)
        inputs: Mapping[str, Any] = operation.inputs
        executor = operation.executor
        if target.inputs:
            for name in target.inputs:
                if name in inputs:
                    raise ReservedInput(f"its input {name!r} is set by the implementation")
            inputs = {**inputs, **target.inputs}
            executor = executor or AUTO
        elif target.plugin:
            executor = executor or self._plugins[target.plugin].executor
        record: dict[str, Any] = {
            "plugin": target.plugin,
            "operation": target.function,
            "executor": executor,
            "inputs": inputs if target.plugin else {},
            "has_intrinsic_functions": False,
            "max_retries": operation.max_retries,
            "retry_interval": operation.retry_interval,
            "timeout": operation.timeout,
            "timeout_recoverable": operation.timeout_recoverable,
        }
        if operation.input_types:
            record["inputs_types"] = dict(operation.input_types)
        return record
