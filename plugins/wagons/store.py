"""The store of plugin environments on a host: one virtualenv per plugin version, made atomically from a wagon.

Layout below the root::

    wheels/<sha256>/                     unpacked wheels, shared by environments (see `images`)
    wagons/<sha256>.json                 which wheels a verified wagon has
    plugins/<name>/<version>-<hash>/     the environments; complete as soon as they are there
    locks/                               who builds or removes what
    virtualenvs/<hash>/                  an empty virtualenv per interpreter, copied into each environment
    aside/                               what is being built; leftovers of killed processes are removed by the next

The agent calls `EnvironmentStore.ensure` before a plugin's first operation; the command line lists and collects.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from .collecting import Collected, collect_garbage
from .disk import make_durable, remove_tree, room_on, sync_folder, write_durably
from .environment import MARKER, Environment, encode_marker, read_marker
from .errors import CorruptStore, StoreError
from .images import WheelImages
from .layout import Layout
from .limits import DEFAULT_LIMITS, Limits
from .linking import EnvironmentBuilder
from .locks import locked
from .progress import Progress, ProgressCallback, ignore
from .target import Target, interpreter_key, probe
from .unpacking import UnpackedWagon, WagonUnpacker
from .virtualenvs import DEFAULT_VIRTUALENV, Virtualenvs
from .wheelname import normalize

_logger = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}")
#: An image that was changed behind the store's back is made again; twice in one install means somebody keeps at it.
_ATTEMPTS = 3


class EnvironmentStore:
    """All plugin environments below one folder. Any number of processes and threads may use it at once."""

    def __init__(
        self,
        root: Path,
        *,
        virtualenv: Sequence[str] = DEFAULT_VIRTUALENV,
        limits: Limits = DEFAULT_LIMITS,
        lock_timeout_seconds: float = 600.0,
    ) -> None:
        """``virtualenv`` is the command that makes environments: the library's, or ``[python, "virtualenv.pyz"]``."""
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - links in the path stay: scripts name it as given
        self._lock_timeout_seconds = lock_timeout_seconds
        self._layout = Layout(self.root)
        self._images = WheelImages(self.root, limits=limits, lock_timeout_seconds=lock_timeout_seconds)
        self._virtualenvs = Virtualenvs(self.root, command=virtualenv, lock_timeout_seconds=lock_timeout_seconds)
        self._unpacker = WagonUnpacker(self._images, index=self._layout.wagons, limits=limits)
        self._known: dict[Path, Environment] = {}

    def find(self, name: str, version: str, *, sha256: str, python: str = sys.executable) -> Optional[Environment]:
        """Return the environment if it is installed and its interpreter still there, else None. Costs microseconds."""
        path = self.path_of(name, version, sha256=sha256, python=python)
        known = self._known.get(path)
        if known is None or not path.is_dir():
            known = read_marker(path)
        if known is None or not known.python.exists():
            self._known.pop(path, None)
            return None
        self._known[path] = known
        return known

    def path_of(self, name: str, version: str, *, sha256: str, python: str = sys.executable) -> Path:
        """Return the folder that the environment has, or would have."""
        for what, value in (("plugin name", name), ("plugin version", version)):
            if _NAME.fullmatch(value) is None:
                raise StoreError(f"{what} {value!r} cannot name a folder; use letters, digits and . _ + -")
        key = hashlib.sha256(f"{sha256.lower()}\n{interpreter_key(python)}".encode()).hexdigest()[:16]
        return self._layout.plugins / normalize(name) / f"{version}-{key}"

    def ensure(
        self,
        name: str,
        version: str,
        wagon_file: Path,
        *,
        sha256: str,
        python: str = sys.executable,
        progress: Optional[ProgressCallback] = None,
    ) -> Environment:
        """Return the environment of a plugin version, installed from ``wagon_file`` if it is not there yet.

        Raises ArchiveError (the wagon is wrong), NoFittingWagon (it does not fit ``python``) or StoreError (no
        room, a lock that is held too long, virtualenv failed). After any of them, and after a kill, nothing half
        done is left that a next call would use.
        """
        found = self.find(name, version, sha256=sha256, python=python)
        if found is not None:
            return found
        final = self.path_of(name, version, sha256=sha256, python=python)
        self._layout.make()
        with room_on(self.root), locked(self._layout.lock_of(final), timeout_seconds=self._lock_timeout_seconds):
            found = self.find(name, version, sha256=sha256, python=python)
            if found is not None:
                return found
            plan = _Plan(
                name=name,
                version=version,
                sha256=sha256.lower(),
                python=python,
                final=final,
                aside=self._layout.aside_of(final),
                work=self._layout.work_of(final),
                progress=progress or ignore,
            )
            self._layout.clear(final)
            final.parent.mkdir(exist_ok=True)
            try:
                # Shared with all who build; whoever collects garbage needs it alone, so no image vanishes meanwhile.
                with locked(self._layout.in_use, timeout_seconds=self._lock_timeout_seconds, shared=True):
                    return self._build(plan, Path(wagon_file))
            except BaseException:
                remove_tree(plan.aside)
                raise

    def list(self) -> tuple[Environment, ...]:
        """Return all environments, by plugin name and version."""
        found = (read_marker(path) for path in self._layout.environments())
        return tuple(
            sorted((one for one in found if one is not None), key=lambda one: (one.name, one.version, one.path))
        )

    def remove(self, environment: Environment) -> None:
        """Remove an environment that no process uses. Its wheels stay until the next `gc`."""
        with locked(self._layout.lock_of(environment.path), timeout_seconds=self._lock_timeout_seconds):
            self._layout.clear(environment.path)
        self._known.pop(environment.path, None)

    def gc(self, keep: Collection[Path]) -> Collected:
        """Remove all environments whose path is not in ``keep``, then wheels that none uses, then leftovers.

        What another process is working on right now is left alone.
        """
        if not self.root.is_dir():
            return Collected()
        kept = {Path(os.path.abspath(path)) for path in keep}  # noqa: PTH100 - as in __init__
        self._layout.make()
        with locked(self._layout.locks / "gc.lock", timeout_seconds=self._lock_timeout_seconds):
            collected = collect_garbage(self._layout, self._images, self._virtualenvs, keep=kept)
        for path in collected.environments:
            self._known.pop(path, None)
        return collected

    def _build(self, plan: _Plan, wagon_file: Path) -> Environment:
        target = probe(plan.python)
        for _ in range(_ATTEMPTS):
            remove_tree(plan.aside)
            unpacked = self._unpack(plan, wagon_file, target)
            try:
                return self._assemble(plan, unpacked, target)
            except CorruptStore as error:
                _logger.warning("%s", error, extra={"action": "wheel_image_dropped"})
                self._images.drop(error.wheel_sha256)
                last = error
        raise last

    def _unpack(self, plan: _Plan, wagon_file: Path, target: Target) -> UnpackedWagon:
        plan.work.mkdir()
        try:
            return self._unpacker.unpack(wagon_file, plan.sha256, target=target, work=plan.work, progress=plan.progress)
        finally:
            remove_tree(plan.work)

    def _assemble(self, plan: _Plan, unpacked: UnpackedWagon, target: Target) -> Environment:
        """Build the environment aside, make it durable, mark it, and rename it into place."""
        site_packages = self._virtualenvs.lay(plan.aside, final=plan.final, python=plan.python)
        builder = EnvironmentBuilder(plan.aside, plan.final, site_packages)
        for count, image in enumerate(unpacked.images, 1):
            builder.install(image, requested=image.sha256 == unpacked.plugin_sha256)
            plan.progress(Progress("link", count, len(unpacked.images), image.wheel.name.filename))
        make_durable(plan.aside)
        environment = Environment(
            name=plan.name,
            version=plan.version,
            sha256=plan.sha256,
            path=plan.final,
            python=plan.final / "bin" / "python",
            site_packages=plan.final / site_packages,
            python_version=target.python_version,
            base_python=interpreter_key(plan.python),
            created_at=time.time(),
            wheels=tuple(image.sha256 for image in unpacked.images),
        )
        write_durably(plan.aside / MARKER, encode_marker(environment))
        plan.aside.rename(plan.final)
        sync_folder(plan.final.parent)
        self._known[plan.final] = environment
        return environment


@dataclass(frozen=True)
class _Plan:
    """What one install is about."""

    name: str
    version: str
    sha256: str
    python: str
    final: Path
    aside: Path
    work: Path
    progress: ProgressCallback
