"""What wheels must fit: an interpreter's Python version, implementation, and the platforms that it can load.

A `Target` is a plain value. It is found for any interpreter on this machine by a short subprocess, kept until the
interpreter changes, and can be made from facts that a host reported, so that fitness is judged without the host.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import InterpreterError

PROBE_TIMEOUT_SECONDS = 30.0
_PROBE = r"""
import json, os, platform, struct, sys, sysconfig
try:
    glibc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, ValueError, OSError):
    glibc = ""
musl = ""
if sys.platform.startswith("linux") and not glibc.startswith("glibc"):
    import glob, re, subprocess
    for loader in sorted(glob.glob("/lib/ld-musl-*.so.1")):
        text = subprocess.run([loader], stderr=subprocess.PIPE, timeout=5).stderr.decode("utf-8", "replace")
        found = re.search(r"Version (\d+\.\d+)", text)
        musl = found.group(1) if found else musl
print(json.dumps({
    "implementation": sys.implementation.name,
    "python": list(sys.version_info[:3]),
    "abiflags": getattr(sys, "abiflags", ""),
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
    "libc": glibc.replace("glibc ", "glibc-") if glibc.startswith("glibc") else ("musl-" + musl if musl else ""),
    "bits": 8 * struct.calcsize("P"),
}))
"""


@dataclass(frozen=True)
class Target:
    """An interpreter on a platform, as far as wheels care."""

    #: ``cpython`` or ``pypy``.
    implementation: str
    #: ``(3, 11, 7)``
    python: tuple[int, int, int]
    #: What sysconfig calls the platform: ``linux-x86_64``, ``macosx-14.0-arm64``.
    platform: str
    #: ``glibc-2.36``, ``musl-1.2``; empty elsewhere.
    libc: str = ""
    bits: int = 64
    abiflags: str = ""
    soabi: str = ""

    @property
    def python_version(self) -> str:
        """``3.11``: the version that tags and paths name."""
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def description(self) -> str:
        """One line for messages: ``CPython 3.11.7 on linux-x86_64 (glibc-2.36)``."""
        name = {"cpython": "CPython", "pypy": "PyPy"}.get(self.implementation, self.implementation)
        libc = f" ({self.libc})" if self.libc else ""
        return f"{name} {'.'.join(map(str, self.python))} on {self.platform}{libc}"

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values; `from_json` reads them back."""
        return {**asdict(self), "python": list(self.python)}

    @staticmethod
    def from_json(facts: dict[str, Any]) -> Target:
        """Make a target of reported facts. Raises KeyError, TypeError or ValueError for others."""
        major, minor, micro = (int(part) for part in facts["python"])
        return Target(
            implementation=str(facts["implementation"]),
            python=(major, minor, micro),
            platform=str(facts["platform"]),
            libc=str(facts.get("libc", "")),
            bits=int(facts.get("bits", 64)),
            abiflags=str(facts.get("abiflags", "")),
            soabi=str(facts.get("soabi", "")),
        )


def probe(python: str = sys.executable) -> Target:
    """Return the target that the interpreter ``python`` is. Raises InterpreterError when it cannot be asked."""
    try:
        found = Path(python).stat()
    except OSError as error:
        raise InterpreterError(
            f"{python}: no such Python interpreter ({error.strerror}); install it or name another"
        ) from error
    return _probe(python, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=32)
def _probe(python: str, mtime_ns: int, inode: int) -> Target:  # noqa: ARG001 - part of the cache's key
    try:
        answer = subprocess.run(
            [python, "-I", "-S", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_SECONDS,
            check=True,
        )
        return Target.from_json(json.loads(answer.stdout))
    except subprocess.CalledProcessError as error:
        tail = error.stderr.decode("utf-8", "replace")[-500:]
        raise InterpreterError(f"{python}: does not work as a Python interpreter: {tail}") from error
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise InterpreterError(f"{python}: cannot be asked what Python it is: {error}") from error


def interpreter_key(python: str) -> str:
    """Return the path that names an interpreter for good: links, such as those of virtualenvs, resolved."""
    return str(Path(python).resolve())
