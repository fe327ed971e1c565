"""The code that plugins' processes run: SDK, runner, facade and SSH access, copied by content to ``sdk/<hash>/``.

A live runner keeps using the folder that it started with, whatever the agent is upgraded to; and a plugin's environment
sees this folder and nothing else of the agent.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import shutil
import uuid
from pathlib import Path

#: Package → the folder below which its files are copied; the facade's `site` lies at the top of the path.
_PACKAGES = (
    "outrider.plugins.sdk",
    "outrider.plugins.script",
    # For plugins whose wagon brings paramiko.
    "outrider.plugins.ssh.access",
    "outrider.agent.runner",
)
_FACADE = "outrider.plugins.cloudify"
_FACADE_SITE = "site"
_IGNORED = {"__pycache__"}


def copy_code(folder: Path) -> Path:
    """Return ``<folder>/<hash>``, made if this code was not copied there before."""
    files = _files()
    digest = hashlib.sha256()
    for name, origin in sorted(files.items()):
        digest.update(f"{name}\0".encode())
        digest.update(origin.read_bytes())
    target = folder / digest.hexdigest()[:16]
    if not target.exists():
        _copy(files, target)
    return target


def _copy(files: dict[str, Path], target: Path) -> None:
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    for name, origin in files.items():
        place = aside / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, place)
    # `outrider.agent` is the agent's own package; of it, only the runner goes along.
    (aside / "outrider" / "agent" / "__init__.py").touch()
    try:
        aside.rename(target)
    except OSError:
        # Another agent process was faster; the content is the same.
        with contextlib.suppress(OSError):
            shutil.rmtree(aside)
        if not target.exists():
            raise


def _files() -> dict[str, Path]:
    """Return path inside the folder → file to copy."""
    found: dict[str, Path] = {}
    for package in _PACKAGES:
        origin = _package_folder(package)
        for path in _below(origin):
            found[f"{package.replace('.', '/')}/{path.relative_to(origin)}"] = path
    facade = _package_folder(_FACADE)
    for path in _below(facade):
        relative = path.relative_to(facade)
        if relative.parts[0] == _FACADE_SITE:
            found[str(Path(*relative.parts[1:]))] = path
        else:
            found[f"{_FACADE.replace('.', '/')}/{relative}"] = path
    return found


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed: the agent's installation is damaged")
    return Path(next(iter(spec.submodule_search_locations)))


def _below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not _IGNORED.intersection(path.parts)]
