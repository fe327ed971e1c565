"""What a bundle is made for: a Python version on a platform, in pip's and in markers' words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outrider.installer.errors import BundleUnfit

#: The agent's range; see `python_requires` in setup.py.
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
LINUX_X86_64 = "linux-x86_64"
#: Platform -> what pip takes. glibc 2.17 is from 2012: everything that still gets security updates has it.
PLATFORMS = {
    "linux-x86_64": ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64", "manylinux2010_x86_64"),
    "linux-aarch64": ("manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "musllinux-x86_64": ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
    "musllinux-aarch64": ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64"),
}
OLDEST_GLIBC = (2, 17)


@dataclass(frozen=True, order=True)
class Target:
    """One Python version on one platform."""

    python: str
    platform: str

    def __str__(self) -> str:
        return f"cp{self.python.replace('.', '')}-{self.platform}"

    @property
    def pip_platforms(self) -> tuple[str, ...]:
        """The platform's names for pip, best first."""
        return PLATFORMS[self.platform]

    def marker_environment(self) -> dict[str, str]:
        """Return the values that requirements' markers are judged by, on such a host."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.platform.rsplit("-", 1)[1],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


def make_targets(pythons: Iterable[str] = PYTHONS, platforms: Iterable[str] = (LINUX_X86_64,)) -> tuple[Target, ...]:
    """Return every Python on every platform; raises BundleUnfit for one that the agent does not run on."""
    pythons, platforms = tuple(pythons), tuple(platforms)
    for python in pythons:
        if python not in PYTHONS:
            raise BundleUnfit(f"the agent does not run on Python {python}", remedy=f"choose of {', '.join(PYTHONS)}")
    for platform in platforms:
        if platform not in PLATFORMS:
            raise BundleUnfit(f"platform {platform!r} is not known", remedy=f"choose of {', '.join(PLATFORMS)}")
    return tuple(sorted(Target(python, platform) for python in pythons for platform in platforms))


def target_of(python: str, tags: Sequence[str]) -> Target:
    """Return what an agent's host needs, by the version and the tags in the agent's heartbeats."""
    _, platform, libc = (*tags, "", "", "")[:3]
    # musl tells no name by which the agent could know it.
    family = "glibc" if libc.startswith("glibc") else "musl"
    return Target(".".join(python.split(".")[:2]), platform_name(platform.partition("_")[2], family))


def platform_name(machine: str, libc: str) -> str:
    """Return the platform of a host by what it says of its machine (``x86_64``) and C library (``glibc``, ``musl``)."""
    family = "musllinux" if libc == "musl" else "linux"
    return f"{family}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"
