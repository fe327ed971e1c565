"""From a task's plugin to the Python that runs it: fetches the fitting wagon, has it installed.

The only place where the agent meets `outrider.plugins.wagons`, whose errors become an attempt's result here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from outrider.agent.errors import PreparationFailed
from outrider.agent.runner.fetch import FetchError, NotThere, WrongContent, fetch
from outrider.messaging.codec import to_json
from outrider.messaging.messages import FilesRef, OperationTask, PluginRef, WagonRef

logger = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True)
class PluginEnvironment:
    """What a runner is started for: equal environments share one."""

    name: str
    version: str
    python: str
    #: Where it is installed; the agent's own for a builtin plugin.
    folder: str
    #: May import what the agent's own Python may.
    builtin: bool


class Environments:
    """The plugin environments of this agent."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._ready: dict[tuple[str, str, tuple[str, ...]], PluginEnvironment] = {}
        self._store: Any = None

    def ready(self, plugin: PluginRef) -> Optional[PluginEnvironment]:
        """Return the environment if nothing has to be fetched or installed for it, else None."""
        if plugin.builtin:
            return PluginEnvironment(plugin.name, plugin.version, sys.executable, sys.prefix, builtin=True)
        return self._ready.get(_key(plugin))

    def forget(self, plugin: PluginRef) -> None:
        """Look at the disk again the next time: a runner could not be started in this environment."""
        self._ready.pop(_key(plugin), None)

    def prepare(self, task: OperationTask, say: Say) -> PluginEnvironment:
        """Return the environment of the task's plugin, installed if need be. Raises `PreparationFailed`."""
        return self.prepare_plugin(task.plugin, task.files, say)

    def prepare_plugin(self, plugin: PluginRef, files: FilesRef, say: Say) -> PluginEnvironment:
        """Return a plugin's environment, installed if need be. Raises `PreparationFailed`."""
        found = self.ready(plugin)
        if found is None:
            found = self._ready[_key(plugin)] = self._install(plugin, files, say)
        return found

    def used(self, environment: PluginEnvironment) -> None:
        """Note that a runner is started in an environment: see `collect`."""
        if not environment.builtin:
            from outrider.plugins.wagons.environment import MARKER

            with contextlib.suppress(OSError):
                os.utime(Path(environment.folder) / MARKER)

    def collect(self, *, unused_seconds: float) -> tuple[Path, ...]:
        """Remove environments that no runner was started in for so long, and none lives in; returns their folders."""
        # Imported late, as above; and psutil, because an agent that has no environments needs it for nothing.
        from outrider.plugins.wagons.environment import MARKER
        from outrider.plugins.wagons.errors import WagonError

        if not (self._state_dir / "plugins").is_dir():
            return ()
        store = self._open_store()
        oldest = time.time() - unused_seconds
        going = {each.path for each in store.list() if (each.path / MARKER).stat().st_mtime < oldest}
        if going:
            going -= _lived_in(going)
        if not going:
            return ()
        self._ready = {key: each for key, each in self._ready.items() if Path(each.folder) not in going}
        try:
            removed: tuple[Path, ...] = store.gc(
                [each.path for each in store.list() if each.path not in going]
            ).environments
        except (WagonError, OSError) as error:
            logger.warning("unused environments cannot be removed: %s", error)
            return ()
        for path in removed:
            logger.info("removed the unused environment %s", path)
        return removed

    def _install(self, plugin: PluginRef, files: FilesRef, say: Say) -> PluginEnvironment:
        # Imported late: an agent that runs builtin plugins only never pays for the installer's modules.
        from outrider.plugins.wagons.errors import NoFittingWagon, StoreError, WagonError
        from outrider.plugins.wagons.fitting import choose
        from outrider.plugins.wagons.target import probe

        try:
            wagon = choose(plugin.wagons, probe(sys.executable))
            store = self._open_store()
            installed = store.find(plugin.name, plugin.version, sha256=wagon.sha256)
            if installed is not None:
                return _environment_of(plugin, installed)
            say(f"fetching plugin {plugin.name} {plugin.version}")
            archive = self._fetch(wagon, plugin, files)
            say(f"installing plugin {plugin.name} {plugin.version}")
            environment = store.ensure(
                plugin.name,
                plugin.version,
                archive,
                sha256=wagon.sha256,
                progress=lambda progress: say(
                    f"installing plugin {plugin.name} {plugin.version}: "
                    f"{progress.stage} {progress.done}/{progress.total}"
                ),
            )
        except NoFittingWagon as error:
            raise PreparationFailed("NoFittingWagon", f"plugin {plugin.name}: {error}", recoverable=False) from error
        except (StoreError, OSError) as error:
            # A full disk, a lock held too long: the host's condition, which may change.
            raise PreparationFailed(type(error).__name__, _where(plugin, error), recoverable=True) from error
        except WagonError as error:
            raise PreparationFailed(type(error).__name__, _where(plugin, error), recoverable=False) from error
        archive.unlink(missing_ok=True)
        return _environment_of(plugin, environment)

    def _open_store(self) -> Any:
        from outrider.plugins.wagons import EnvironmentStore

        with self._lock:
            if self._store is None:
                self._store = EnvironmentStore(self._state_dir)
            return self._store

    def _fetch(self, wagon: WagonRef, plugin: PluginRef, files: FilesRef) -> Path:
        try:
            return fetch(to_json(files), wagon.sha256, self._state_dir / "fetched" / f"{wagon.sha256}.wgn")
        except WrongContent as error:
            raise PreparationFailed("WrongContent", _where(plugin, error), recoverable=False) from error
        except NotThere as error:
            raise PreparationFailed("WagonNotFound", _where(plugin, error), recoverable=False) from error
        except FetchError as error:
            raise PreparationFailed("FetchError", _where(plugin, error), recoverable=True) from error


def _lived_in(folders: set[Path]) -> set[Path]:
    """Return those of the folders that a process's command line names: a runner's is its environment's Python."""
    import psutil

    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return {folder for folder in folders if any(str(folder) in command for command in commands)}


def _environment_of(plugin: PluginRef, environment: Any) -> PluginEnvironment:
    return PluginEnvironment(plugin.name, plugin.version, str(environment.python), str(environment.path), builtin=False)


def _where(plugin: PluginRef, error: Exception) -> str:
    return f"plugin {plugin.name} {plugin.version} cannot be installed: {error}"


def _key(plugin: PluginRef) -> tuple[str, str, tuple[str, ...]]:
    return plugin.name, plugin.version, tuple(wagon.sha256 for wagon in plugin.wagons)
