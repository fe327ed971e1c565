"""The wheel tags that a target supports, best first.

The rules are those of https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/. The
`packaging` library knows the interpreter's part; the platform's part is derived from the target's facts, because
that library only judges the machine that it runs on.
"""

from __future__ import annotations

import re
from functools import lru_cache

from packaging import tags as packaging_tags

from .target import Target

_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


@lru_cache(maxsize=32)
def supported_tags(target: Target) -> dict[str, int]:
    """Return each tag that ``target`` supports with its rank; 0 is the best."""
    platforms = platform_tags(target)
    version = (target.python[0], target.python[1])
    if target.implementation == "cpython":
        abi = f"cp{version[0]}{version[1]}{_cpython_flags(target)}"
        interpreter = f"cp{version[0]}{version[1]}"
        specific = list(packaging_tags.cpython_tags(version, abis=[abi], platforms=platforms))
    else:
        short = {"pypy": "pp"}.get(target.implementation, target.implementation)
        interpreter = f"{short}{version[0]}{version[1]}"
        specific = list(packaging_tags.generic_tags(interpreter, abis=[_generic_abi(target)], platforms=platforms))
    general = packaging_tags.compatible_tags(version, interpreter=interpreter, platforms=platforms)
    ranked: dict[str, int] = {}
    for tag in (*specific, *general):
        ranked.setdefault(str(tag), len(ranked))
    return ranked


def platform_tags(target: Target) -> list[str]:
    """Return the platform tags of a target, best first."""
    plain = re.sub(r"[-.]", "_", target.platform)
    match = re.fullmatch(r"linux_(\w+)", plain)
    if match is None:
        return _macos_tags(target) or [plain]
    machine = match.group(1)
    if target.bits == 32:
        machine = {"x86_64": "i686", "aarch64": "armv7l"}.get(machine, machine)
    return [*_libc_tags(target.libc, machine), f"linux_{machine}"]


def _libc_tags(libc: str, machine: str) -> list[str]:
    match = re.fullmatch(r"(glibc|musl)-(\d+)\.(\d+)", libc)
    if match is None:
        return []
    major, minor = int(match.group(2)), int(match.group(3))
    if match.group(1) == "musl":
        return [f"musllinux_{major}_{number}_{machine}" for number in range(minor, -1, -1)]
    oldest = 5 if machine in ("x86_64", "i686") else 17
    found = []
    for number in range(minor, oldest - 1, -1):
        found.append(f"manylinux_{major}_{number}_{machine}")
        if (major, number) in _LEGACY:
            found.append(f"{_LEGACY[major, number]}_{machine}")
    return found


def _macos_tags(target: Target) -> list[str]:
    match = re.fullmatch(r"macosx-(\d+)\.(\d+)-(\w+)", target.platform)
    if match is None:
        return []
    return list(packaging_tags.mac_platforms((int(match.group(1)), int(match.group(2))), match.group(3)))


def _cpython_flags(target: Target) -> str:
    """``t`` for free-threaded builds, ``d`` for debug ones: their extension modules are not interchangeable."""
    return "".join(flag for flag in target.abiflags if flag in "td")


def _generic_abi(target: Target) -> str:
    """``pypy39-pp73-x86_64-linux-gnu`` as SOABI means the ABI tag ``pypy39_pp73``."""
    parts = target.soabi.split("-")
    return "_".join(parts[:2]) if len(parts) >= 2 else "none"


def marker_environment(target: Target) -> dict[str, str]:
    """Return the values of environment markers (``python_version < "3.11"``) on a target."""
    system = {"linux": "Linux", "macosx": "Darwin", "win": "Windows"}
    kind = re.split(r"[-0-9]", target.platform)[0]
    machine = target.platform.rpartition("-")[2]
    full = ".".join(map(str, target.python))
    return {
        "implementation_name": target.implementation,
        "implementation_version": full,
        "os_name": "nt" if kind == "win" else "posix",
        "platform_machine": machine,
        "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(target.implementation, ""),
        "platform_release": "",
        "platform_system": system.get(kind, ""),
        "platform_version": "",
        "python_full_version": full,
        "python_version": target.python_version,
        "sys_platform": {"linux": "linux", "macosx": "darwin", "win": "win32"}.get(kind, kind),
    }
