"""The agent's virtualenv: built aside from the bundle's wheels, renamed into place, switched to by a link.

Needs no pip, no venv, no compiler and no network: virtualenv comes as a zipapp, and the wheels are laid by Outrider's
own `plugins.wagons`, which is imported from the bundle's own wheel.
"""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .errors import HostError
from .files import disk_error, make_folder, switch_link
from .layout import Layout

#: Written last into a version's folder: says that the version is whole, and from which bundle it was made.
RECORD = "outrider-version.json"
CHUNK = 1 << 20


#: What every agent loads at its start. The rest (virtualenv and what it needs) is for installing plugins, half of all.
START_PACKAGES = ("outrider/agent", "outrider/messaging", "pika", "psutil")


def installed_versions(layout: Layout) -> dict[str, str]:
    """Return version name -> hash of the bundle that it was made from."""
    found = {}
    for path in sorted(layout.versions.glob(f"*/{RECORD}")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    return found


def verify_archive(archive: Path, sha256: str) -> None:
    """Raise unless the file that arrived is the one that was sent."""
    digest = hashlib.sha256()
    try:
        with archive.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise HostError(
            "bundle-missing", f"cannot read {archive}: {error.strerror}", "run the installation again"
        ) from error
    if digest.hexdigest() != sha256:
        archive.unlink()
        raise HostError(
            "bundle-damaged",
            f"{archive.name} has sha256 {digest.hexdigest()[:16]}…, expected {sha256[:16]}…; it was removed",
            "run the installation again; if it stays so, look for a proxy or a failing disk between here and the host",
        )


def build_environment(layout: Layout, *, archive: Path, sha256: str, name: str) -> bool:
    """Make the version `name` from the bundle and return whether there was anything to do."""
    target = layout.versions / name
    if installed_versions(layout).get(name) == sha256:
        return False
    make_folder(layout.versions)
    part = layout.versions / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        _unpack(archive, part / ".bundle")
        _verify_files(part / ".bundle")
        _create(part)
        _install_wheels(part, target)
        shutil.rmtree(part / ".bundle")
        _compile(part, target)
        (part / RECORD).write_text(json.dumps({"sha256": sha256, "version": name}), encoding="utf-8")
        if target.exists():  # without its record: what a kill left, or somebody's hand
            shutil.rmtree(target)
        part.replace(target)
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def switch(layout: Layout, name: str) -> str:
    """Make `name` the active version; returns the one that was."""
    if not (layout.versions / name / RECORD).exists():
        raise HostError("version-missing", f"version {name} is not on this host", "install it first")
    before = layout.current.readlink().name if layout.current.is_symlink() else ""
    if before != name:
        switch_link(layout.current, f"versions/{name}")
    return before


def remove_unused(layout: Layout, keep: set[str]) -> list[str]:
    """Remove the versions that are neither kept nor used by a process; returns their names."""
    used = _paths_in_use()
    removed = []
    for path in sorted(layout.versions.iterdir()) if layout.versions.is_dir() else []:
        prefix = f"{path}/"
        if path.name in keep or any(prefix in text for text in used):
            continue
        shutil.rmtree(path, ignore_errors=True)
        removed.append(path.name)
    return removed


def _paths_in_use() -> list[str]:
    """Return the command lines and mapped files of all processes: a runner may still use an old version."""
    texts = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for name in ("cmdline", "maps"):
                with contextlib.suppress(OSError):
                    texts.append((entry / name).read_text(encoding="utf-8", errors="replace"))
    return texts


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name)
            if not member.isfile() or name.is_absolute() or ".." in name.parts:
                raise HostError("bundle-damaged", f"the bundle holds {member.name!r}, which is not a plain file", "")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            if source is None:
                raise HostError("bundle-damaged", f"the bundle's {member.name!r} cannot be read", "")
            with source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink, CHUNK)


def _verify_files(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            raise HostError("bundle-damaged", f"the bundle's {name} is missing or damaged", "build the bundle again")


def _create(part: Path) -> None:
    """Make an empty environment: by this Python's own `venv`, a matter of milliseconds, where it has that."""
    try:
        from venv import EnvBuilder
    except ImportError:
        _create_without_venv(part)
        return
    builder = EnvBuilder(symlinks=True)
    # Scripts that activate it would name the folder aside; nobody works in this environment by hand.
    builder.setup_scripts = lambda _context: None  # type: ignore[assignment]
    builder.create(part)


def _create_without_venv(part: Path) -> None:
    """Make it by the bundle's virtualenv: some distributions leave `venv` out."""
    # No seed packages: the agent's wheels are all there will be. No activators: they would name the folder aside.
    command = [sys.executable, "-I", str(part / ".bundle" / "virtualenv.pyz"), "--no-seed", "--activators", ""]
    command += ["--no-vcs-ignore", "--no-periodic-update", "--app-data", str(part / ".bundle" / "app-data")]
    made = subprocess.run([*command, str(part)], capture_output=True, text=True, timeout=120, check=False)
    if made.returncode != 0:
        answer = (made.stderr or made.stdout).strip()
        raise HostError(
            "environment", f"virtualenv failed with {sys.executable}: {answer[-600:]}", _python_remedy(answer)
        )


def _python_remedy(answer: str) -> str:
    if re.search("No space left", answer):
        return "free some space on the disk"
    return "name another interpreter with `python`; this one may be incomplete"


def _install_wheels(part: Path, target: Path) -> None:
    wheels = sorted((part / ".bundle" / "wheels").glob("*.whl"))
    with _own_packages(wheels, part / ".bundle" / "own"):
        # Only here, and only now, because on a host they lie in the bundle alone.
        from outrider.plugins.wagons.errors import DiskFull, WagonError
        from outrider.plugins.wagons.laying import lay_wheels
    try:
        lay_wheels(wheels, aside=part, final=target, site_packages=_site_packages())
    except DiskFull as error:
        raise HostError("disk-full", str(error), f"free some space on the disk that holds {target}") from error
    except WagonError as error:
        raise HostError("bundle-damaged", str(error), "build the bundle again") from error


@contextlib.contextmanager
def _own_packages(wheels: list[Path], folder: Path) -> Iterator[None]:
    """Make what Outrider's own wheel brings importable."""
    own = [path for path in wheels if path.name.startswith("outrider-")]
    if not own:
        raise HostError("bundle-damaged", "the bundle has no wheel of Outrider itself", "build the bundle again")
    # Unpacked, because Python finds no namespace package (`outrider`) inside a zip file.
    with zipfile.ZipFile(own[0]) as wheel:
        wheel.extractall(folder)  # noqa: S202 - a zip file: zipfile keeps members below the folder
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _site_packages() -> str:
    return f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def _compile(part: Path, target: Path) -> None:
    """Compile for the final place what an agent always loads; the rest is compiled when it is first used."""
    packages = part / _site_packages()
    # A file that does not compile (a template for another Python) is not used by the agent.
    with contextlib.redirect_stdout(sys.stderr):
        for name in START_PACKAGES:
            compileall.compile_dir(str(packages / name), quiet=2, stripdir=str(part), prependdir=str(target), workers=1)
