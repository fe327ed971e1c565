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

from .disk import make_durable, remove_tree, room_on, sync_folder, tree_size, write_durably
from .environment import MARKER, Environment, encode_marker, read_marker
from .errors import CorruptStore, StoreError
from .images import WheelImages
from .limits import DEFAULT_LIMITS, Limits
from .linking import EnvironmentBuilder
from .locks import locked, locked_if_free
from .progress import Progress, ProgressCallback, ignore
from .target import Target, interpreter_key, probe
from .unpacking import UnpackedWagon, WagonUnpacker
from .virtualenvs import DEFAULT_VIRTUALENV, Virtualenvs
from .wheelname import normalize

_logger = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}")
#: An image that was changed behind the store's back is made again; twice in one install means somebody keeps at it.
_ATTEMPTS = 3
_WORK = ".work"


@dataclass(frozen=True)
class Collected:
    """What a garbage collection removed."""

    environments: tuple[Path, ...] = ()
    wheels: tuple[str, ...] = ()
    freed_bytes: int = 0


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
        self._plugins = self.root / "plugins"
        self._aside = self.root / "aside"
        self._locks = self.root / "locks"
        self._wagons = self.root / "wagons"
        self._in_use = self._locks / "in-use.lock"
        self._images = WheelImages(self.root, limits=limits, lock_timeout_seconds=lock_timeout_seconds)
        self._virtualenvs = Virtualenvs(self.root, command=virtualenv, lock_timeout_seconds=lock_timeout_seconds)
        self._unpacker = WagonUnpacker(self._images, index=self._wagons, limits=limits)
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
        return self._plugins / normalize(name) / f"{version}-{key}"

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
        self._make_folders(final.parent)
        with room_on(self.root), locked(self._lock_of(final), timeout_seconds=self._lock_timeout_seconds):
            found = self.find(name, version, sha256=sha256, python=python)
            if found is not None:
                return found
            plan = _Plan(name, version, sha256.lower(), python, final, self._aside_of(final), progress or ignore)
            self._clear(plan.aside, final)
            try:
                # Shared with all who build; whoever collects garbage needs it alone, so no image vanishes meanwhile.
                with locked(self._in_use, timeout_seconds=self._lock_timeout_seconds, shared=True):
                    return self._build(plan, Path(wagon_file))
            except BaseException:
                remove_tree(plan.aside)
                raise

    def list(self) -> tuple[Environment, ...]:
        """Return all environments, by plugin name and version."""
        found = (read_marker(path) for path in self._environment_paths())
        return tuple(
            sorted((one for one in found if one is not None), key=lambda one: (one.name, one.version, one.path))
        )

    def remove(self, environment: Environment) -> None:
        """Remove an environment that no process uses. Its wheels stay until the next `gc`."""
        with locked(self._lock_of(environment.path), timeout_seconds=self._lock_timeout_seconds):
            aside = self._aside_of(environment.path)
            self._clear(aside, environment.path)
        self._known.pop(environment.path, None)

    def gc(self, keep: Collection[Path]) -> Collected:
        """Remove all environments whose path is not in ``keep``, then wheels that none uses, then leftovers.

        What another process is working on right now is left alone.
        """
        if not self.root.is_dir():
            return Collected()
        kept = {Path(os.path.abspath(path)) for path in keep}  # noqa: PTH100 - as in __init__
        self._make_folders(self._plugins)
        with locked(self._locks / "gc.lock", timeout_seconds=self._lock_timeout_seconds):
            freed, removed = 0, []
            for path in [one for one in self._environment_paths() if one not in kept]:
                with locked_if_free(self._lock_of(path)) as free:
                    if free:
                        freed += _own_bytes(path)
                        self._clear(self._aside_of(path), path)
                        self._known.pop(path, None)
                        removed.append(path)
            wheels, wheel_bytes = self._drop_unused_wheels()
            self._virtualenvs.clear()
            self._remove_leftovers()
        return Collected(tuple(removed), wheels, freed + wheel_bytes)

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
        work = _work_folder(plan.aside)
        work.mkdir()
        try:
            return self._unpacker.unpack(wagon_file, plan.sha256, target=target, work=work, progress=plan.progress)
        finally:
            remove_tree(work)

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

    def _make_folders(self, *more: Path) -> None:
        with room_on(self.root):
            for folder in (self._aside, self._locks, self._wagons, self.root / "wheels", *more):
                folder.mkdir(parents=True, exist_ok=True)

    def _clear(self, aside: Path, final: Path) -> None:
        """Remove an environment (moved away first, so that nobody sees half of one) and what a kill left of it."""
        remove_tree(_work_folder(aside))
        remove_tree(aside)
        if final.exists():
            final.rename(aside)
            remove_tree(aside)

    def _lock_of(self, environment: Path) -> Path:
        return self._locks / f"{_key(environment)}.lock"

    def _aside_of(self, environment: Path) -> Path:
        return self._aside / _key(environment)

    def _environment_paths(self) -> tuple[Path, ...]:
        return tuple(sorted(self._plugins.glob("*/*")))

    def _drop_unused_wheels(self) -> tuple[tuple[str, ...], int]:
        with locked_if_free(self._in_use) as alone:
            if not alone:
                return (), 0
            used = {digest for environment in self.list() for digest in environment.wheels}
            dropped, freed = [], 0
            for digest in self._images.all_hashes():
                if digest not in used:
                    freed += tree_size(self.root / "wheels" / digest)
                    self._images.drop(digest)
                    dropped.append(digest)
            wagons = {environment.sha256 for environment in self.list()}
            for path in self._wagons.glob("*.json"):
                if path.stem not in wagons:
                    path.unlink(missing_ok=True)
            return tuple(dropped), freed

    def _remove_leftovers(self) -> None:
        """Remove what killed processes left aside: a folder there belongs to whoever holds the lock of its name."""
        for path in self._aside.iterdir():
            with locked_if_free(self._locks / f"{path.name.removesuffix(_WORK)}.lock") as free:
                if free:
                    remove_tree(path)


@dataclass(frozen=True)
class _Plan:
    """What one install is about."""

    name: str
    version: str
    sha256: str
    python: str
    final: Path
    aside: Path
    progress: ProgressCallback


def _work_folder(aside: Path) -> Path:
    """Where wheels are put while they are unpacked; gone before the environment is assembled."""
    return aside.with_name(f"{aside.name}{_WORK}")


def _key(environment: Path) -> str:
    return f"{environment.parent.name}-{environment.name}"


def _own_bytes(path: Path) -> int:
    """Return what removing an environment frees: files that the store's images do not share."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            found = os.lstat(f"{folder}/{name}")
            total += found.st_size if found.st_nlink == 1 else 0
    return total
