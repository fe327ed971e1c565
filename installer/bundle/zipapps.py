"""The two programs inside a bundle: virtualenv as a zipapp, and the installer's part that runs on the host."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from outrider.installer.bundle.collect import wheel_requirements
from outrider.installer.bundle.ownwheel import write_entry
from outrider.installer.bundle.targets import Target
from outrider.installer.errors import BundleBuildFailed

HOST_MAIN = b"from outrider_onhost.__main__ import main\nimport sys\nraise SystemExit(main(sys.argv[1:]))\n"
VIRTUALENV_MAIN = b"from virtualenv.__main__ import run_with_catch\nrun_with_catch()\n"
#: Environments are made without seed packages, so virtualenv's copies of pip and setuptools are left out.
SEED_WHEELS = re.compile(r"virtualenv/seed/wheels/embed/.*\.whl")


def pack_host_program(path: Path) -> Path:
    """Write ``host.pyz``."""
    source = Path(__file__).resolve().parents[1] / "onhost"
    with zipfile.ZipFile(path, "w") as archive:
        write_entry(archive, "__main__.py", HOST_MAIN)
        for module in sorted(source.glob("*.py")):
            write_entry(archive, f"outrider_onhost/{module.name}", module.read_bytes())
    return path


def pack_virtualenv(path: Path, wheels: list[Path], target: Target) -> Path:
    """Write ``virtualenv.pyz`` from virtualenv's wheel and those it needs."""
    named = {parse_wheel_filename(wheel.name)[0]: wheel for wheel in wheels}
    if "virtualenv" not in named:
        raise BundleBuildFailed("the agent's requirements bring no virtualenv", remedy="see setup.py")
    needed, todo = set(), ["virtualenv"]
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        environment = dict(target.marker_environment())
        todo.extend(
            canonicalize_name(requirement.name)
            for requirement in wheel_requirements(named[canonicalize_name(name)])
            if requirement.marker is None or requirement.marker.evaluate(environment)
        )
    with zipfile.ZipFile(path, "w") as archive:
        write_entry(archive, "__main__.py", VIRTUALENV_MAIN)
        for name in sorted(needed):
            with zipfile.ZipFile(named[canonicalize_name(name)]) as wheel:
                for entry in sorted(wheel.namelist()):
                    if not entry.endswith("/") and not SEED_WHEELS.fullmatch(entry):
                        write_entry(archive, entry, wheel.read(entry))
    return path
