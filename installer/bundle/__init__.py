"""The offline bundle: everything that a host needs to run an agent, except Python itself.

`build_bundle` makes one, `Bundle` reads it; called by the CLI, the fleet and the built-in plugin `agent`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from outrider.installer.bundle.archive import Bundle, HostBundle, write_bundle
from outrider.installer.bundle.collect import collect_wheels
from outrider.installer.bundle.ownwheel import own_requirements, pack_own_wheel
from outrider.installer.bundle.targets import LINUX_X86_64, PYTHONS, Target, make_targets, platform_name, target_of
from outrider.installer.bundle.zipapps import pack_host_program, pack_virtualenv
from outrider.messaging.version import __version__

__all__ = [
    "LINUX_X86_64",
    "PYTHONS",
    "Bundle",
    "HostBundle",
    "Target",
    "build_bundle",
    "make_targets",
    "platform_name",
    "target_of",
]


def build_bundle(
    path: Path, targets: Iterable[Target] | None = None, *, progress: Callable[[str], None] | None = None
) -> Bundle:
    """Build the bundle for some targets (default: every Python of the agent's range on x86_64) and return it.

    The wheels come through pip's configured indexes. Raises `BundleBuildFailed`.
    """
    say = progress or _say_nothing
    chosen = tuple(targets) if targets is not None else make_targets()
    files: dict[str, bytes] = {}
    by_target: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="outrider-bundle-") as folder:
        work = Path(folder)
        own = pack_own_wheel(work)
        host_program = pack_host_program(work / "host.pyz")
        for target in chosen:
            say(f"collecting wheels for {target}")
            wheels = [*collect_wheels(own_requirements(), target, work / str(target)), own]
            virtualenv = pack_virtualenv(work / f"virtualenv-{target}.pyz", wheels, target)
            names = {f"wheels/{wheel.name}": wheel for wheel in wheels}
            # Different Pythons may need different virtualenvs; a host's part calls its own by the plain name.
            by_target[str(target)] = sorted([*names, "host.pyz", f"virtualenv/{target}.pyz"])
            files |= {name: wheel.read_bytes() for name, wheel in names.items()}
            files[f"virtualenv/{target}.pyz"] = virtualenv.read_bytes()
        files["host.pyz"] = host_program.read_bytes()
    say(f"writing {path}")
    return Bundle(write_bundle(path, version=__version__, files=files, targets=by_target))


def _say_nothing(text: str) -> None:
    pass
