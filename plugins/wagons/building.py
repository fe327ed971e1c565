"""Builds wagons: the plugin's own wheel, then its dependencies, resolved, hashed, fetched, packed. For several targets.

Reads top to bottom: `build` makes the plugin's wheel, `_Builder.wagon` one wagon for one target. The same source with
the same lock gives the same bytes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Optional, Union

from .errors import BadSource, BuildError
from .inspecting import WheelMetadata, parse_metadata, unmet
from .lockfile import Lock
from .locks import locked
from .packing import normalize_wheel, write_module_wheel, write_wagon
from .pip import Pinned, Pip
from .progress import Progress, ProgressCallback, ignore
from .sources import read_module, source_digest
from .successors import with_successors
from .tags import platform_tags, supported_tags
from .target import Target, probe
from .wagon import Wagon, read_wagon
from .wheel import Wheel
from .wheelname import normalize, parse_wheel_name

#: Rounds of asking pip for what other targets' markers add; each round finds at least one more distribution.
_MOST_ROUNDS = 10
_LOCK_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True)
class Built:
    """The wagons of one build, one per target, and the lock that repeats it."""

    wagons: tuple[Wagon, ...]
    lock: Lock


def build(
    source: Union[Path, str],
    *,
    output_dir: Path,
    pythons: Sequence[str] = (),
    platforms: Sequence[str] = (),
    constraints: Optional[Path] = None,
    lock: Optional[Lock] = None,
    progress: Optional[ProgressCallback] = None,
) -> Built:
    """Build one wagon for each combination of ``pythons`` and ``platforms`` into ``output_dir``.

    ``source`` is a folder with a build (``pyproject.toml`` or ``setup.py``), a one-file plugin, or a requirement such
    as ``name==1.2``. ``pythons`` are paths of interpreters, whose own pip may then compile, or versions such as
    ``3.9``, for which dependencies must exist as wheels; by default this interpreter. ``platforms`` are tags such as
    ``manylinux_2_28_x86_64``; by default this machine's. With ``lock``, dependencies are exactly those.

    Raises BadSource or PipFailed.
    """
    report = progress or ignore
    wanted = build_targets(pythons, platforms)
    with tempfile.TemporaryDirectory(prefix="outrider-build-") as name:
        builder = _Builder(source, Path(name), output_dir, constraints, report)
        wagons, locked_targets = [], {}
        for count, one in enumerate(wanted, 1):
            report(Progress("build", count, len(wanted), one.label))
            wagon, pinned = builder.wagon(one, lock)
            wagons.append(wagon)
            locked_targets[one.label] = pinned
    return Built(tuple(wagons), Lock(locked_targets))


def build_source(
    path: Path, cache_dir: Path, *, python: str = sys.executable, progress: Optional[ProgressCallback] = None
) -> Path:
    """Return the wagon of a plugin's source, built if its content was not built for ``python`` before.

    For plugins that a blueprint names by ``source:``: edit and run again, no packaging step.
    """
    key = source_digest(path)[:32]
    target = probe(python)
    folder = Path(cache_dir) / f"{key}-{_label(target)}"
    found = next(iter(folder.glob("*.wgn")), None)
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock"), timeout_seconds=_LOCK_TIMEOUT_SECONDS):
        found = next(iter(folder.glob("*.wgn")), None)
        if found is None:
            build(path, output_dir=folder, pythons=[python], progress=progress)
            found = next(iter(folder.glob("*.wgn")))
    return found


@dataclass(frozen=True)
class BuildTarget:
    """What one wagon is built for, and the interpreter whose pip builds it."""

    target: Target
    python: str
    #: Built by another interpreter than the one it is for: only ready-made wheels can be used.
    cross: bool

    @property
    def label(self) -> str:
        """The name in lock files: ``py311-linux_x86_64``."""
        return _label(self.target)


def build_targets(pythons: Sequence[str], platforms: Sequence[str]) -> tuple[BuildTarget, ...]:
    """Return the targets for all combinations. Raises BadSource for a Python or platform that is not understood."""
    return tuple(
        _build_target(python, platform) for python, platform in product(pythons or [sys.executable], platforms or [""])
    )


def _build_target(python: str, platform: str) -> BuildTarget:
    version = re.fullmatch(r"(\d+)\.(\d+)", python)
    here = probe() if version else probe(shutil.which(python) or python)
    runner = sys.executable if version else python
    if version and (int(version[1]), int(version[2])) != here.python[:2]:
        own = Target("cpython", (int(version[1]), int(version[2]), 0), here.platform, here.libc, here.bits)
    else:
        own = here
    target = _on_platform(own, platform)
    return BuildTarget(target, runner, cross=target != here)


def _on_platform(target: Target, platform: str) -> Target:
    if not platform or platform in platform_tags(target)[-1:]:
        return target
    match = re.fullmatch(r"(many|musl)linux_(\d+)_(\d+)_(\w+)", _modern(platform))
    if match is None:
        raise BadSource(f"platform {platform!r} is not understood; use a tag such as manylinux_2_28_x86_64")
    libc = f"{'glibc' if match[1] == 'many' else 'musl'}-{match[2]}.{match[3]}"
    bits = 32 if match[4] in ("i686", "armv7l") else 64
    return Target(target.implementation, target.python, f"linux-{match[4]}", libc, bits)


def _modern(platform: str) -> str:
    """Return the tag that a legacy one stands for."""
    legacy = {"manylinux1_": "manylinux_2_5_", "manylinux2010_": "manylinux_2_12_", "manylinux2014_": "manylinux_2_17_"}
    for old, new in legacy.items():
        platform = re.sub(f"^{old}", new, platform)
    return platform


def _label(target: Target) -> str:
    plain = re.sub(r"[-.]", "_", target.platform)
    prefix = {"cpython": "py", "pypy": "pypy"}.get(target.implementation, target.implementation)
    return f"{prefix}{target.python[0]}{target.python[1]}-{plain}"


class _Builder:
    """One build: the source, and the temporary folder that everything is prepared in."""

    def __init__(
        self,
        source: Union[Path, str],
        work: Path,
        output_dir: Path,
        constraints: Optional[Path],
        progress: ProgressCallback,
    ) -> None:
        self._source = source
        self._work = work
        self._output_dir = Path(output_dir)
        self._constraints = None if constraints is None else Path(constraints).resolve()
        self._progress = progress

    def wagon(self, wanted: BuildTarget, lock: Optional[Lock]) -> tuple[Wagon, tuple[Pinned, ...]]:
        """Build the wagon for one target; return it with its dependencies."""
        work = Path(tempfile.mkdtemp(dir=self._work))
        pip = Pip(wanted.python, cross=wanted.target if wanted.cross else None)
        plugin = self._plugin_wheel(pip, wanted, work)
        wheels = work / "wheels"
        wheels.mkdir()
        pinned = self._resolve(pip, plugin, wanted, work) if lock is None else lock.of(wanted.label)
        self._progress(Progress("download", 0, len(pinned), wanted.label))
        pip.fetch(pinned, wheels)
        self._progress(Progress("download", len(pinned), len(pinned), wanted.label))
        for path in wheels.glob("*.whl"):
            _require_fit(path, wanted.target)
        path = write_wagon(
            self._output_dir,
            plugin=parse_wheel_name(plugin.name),
            wheels=[plugin, *wheels.glob("*.whl")],
            target=wanted.target,
            details={"package_source": self._source_name, "python_requires": _metadata(plugin).requires_python},
        )
        self._progress(Progress("pack", 1, 1, path.name))
        return read_wagon(path), pinned

    @property
    def _source_name(self) -> str:
        """What the metadata says the wagon was made from; no path of the building machine."""
        return Path(self._source).name if Path(self._source).exists() else str(self._source)

    def _plugin_wheel(self, pip: Pip, wanted: BuildTarget, work: Path) -> Path:
        path = Path(self._source)
        if path.is_file() and path.suffix == ".py":
            module = read_module(path.resolve())
            return write_module_wheel(
                work,
                name=module.name,
                version=module.version,
                module=module.path,
                requires=module.requires,
                requires_python=module.requires_python,
            )
        if path.is_dir():
            if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
                file = next(iter(sorted(path.glob("*.py"))), None)
                instead = "" if file is None else f", or name a plugin in one file as its file: {file}"
                raise BadSource(
                    f"{path}: has no pyproject.toml, setup.py or setup.cfg, so it cannot be built; add one{instead}"
                )
            wheel = self._build_folder(pip, path, work)
        elif path.is_file():
            wheel = pip.build(str(path.resolve()), work / "own")
            normalize_wheel(wheel)
        elif "/" in str(self._source) or isinstance(self._source, Path):
            raise BadSource(f"{self._source}: there is no such file or folder; check the plugin's source")
        else:
            wheel = pip.build(str(self._source), work / "own")
            # An index's own wheel is left as it is, so that its hash stays the published one.
        _require_fit(wheel, wanted.target)
        return wheel

    def _build_folder(self, pip: Pip, path: Path, work: Path) -> Path:
        """Build in a copy: builds leave folders behind, which must neither end in the source nor in the next wheel."""
        copy = work / "source"
        ignored = shutil.ignore_patterns("__pycache__", "build", "dist", "*.egg-info", ".git", ".venv", ".tox", "*.wgn")
        shutil.copytree(path, copy, symlinks=True, ignore=ignored)
        wheel = pip.build(str(copy), work / "own", what=str(path))
        normalize_wheel(wheel)
        return wheel

    def _resolve(self, pip: Pip, plugin: Path, wanted: BuildTarget, work: Path) -> tuple[Pinned, ...]:
        """Let pip resolve the dependencies, until nothing that the target needs is missing.

        For other Pythons than its own, pip judges markers (``python_version < "3.11"``) by the interpreter that it
        runs in, and leaves such dependencies out; they are asked for by name.
        """
        declared = _metadata(plugin)
        if not declared.requires:
            return ()
        own = replace(declared, requires=with_successors(declared.requires))
        asked = [str(plugin)] if own == declared else list(own.requires)
        what = f"the requirements of {self._source}"
        for _ in range(_MOST_ROUNDS):
            pinned = tuple(
                one
                for one in pip.resolve(asked, constraints=self._constraints, work=work, what=what)
                if normalize(one.name) != normalize(own.name)
            )
            if not wanted.cross:
                return pinned
            fetched = Path(tempfile.mkdtemp(dir=work))
            pip.fetch(pinned, fetched)
            missing = unmet([own, *(_metadata(path) for path in fetched.glob("*.whl"))], wanted.target)
            if not missing:
                return pinned
            asked += [one.requirement for one in missing]
        raise BuildError(f"{own.name}: pip leaves out {', '.join(map(str, missing))}; name these in a constraint")


def _metadata(wheel: Path) -> WheelMetadata:
    with Wheel(wheel) as opened:
        return parse_metadata(opened.metadata())


def _require_fit(wheel: Path, target: Target) -> None:
    supported = supported_tags(target)
    name = parse_wheel_name(wheel.name)
    if not any(tag in supported for tag in name.tags):
        raise BadSource(
            f"{wheel.name}: is built for {name.tag}, not for {target.description};"
            " build it with an interpreter of that Python and platform"
        )
