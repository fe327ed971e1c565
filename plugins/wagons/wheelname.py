"""What a wheel's file name says: distribution, version, build tag and compatibility tags.

The format is that of https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

_NAME = re.compile(
    r"(?P<distribution>[^-\s]+)-(?P<version>[^-\s]+)(-(?P<build>\d[^-\s]*))?"
    r"-(?P<python>[^-\s]+)-(?P<abi>[^-\s]+)-(?P<platform>[^-\s]+)\.whl"
)


@dataclass(frozen=True)
class WheelName:
    """A parsed wheel file name. ``tag`` stays compressed, such as ``py2.py3-none-any``."""

    filename: str
    distribution: str
    version: str
    build: str
    tag: str

    @property
    def key(self) -> str:
        """The distribution's normalized name: what two wheels of one distribution share."""
        return normalize(self.distribution)

    @property
    def tags(self) -> tuple[str, ...]:
        """All single tags that the compressed one stands for; the wheel fits where any of them is supported."""
        return expand(self.tag)


def parse_wheel_name(filename: str) -> WheelName:
    """Parse the name of a ``.whl`` file. Raises ValueError when it is not a valid one."""
    match = _NAME.fullmatch(filename)
    if match is None:
        raise ValueError(f"{filename!r} is not NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl")
    tag = f"{match['python']}-{match['abi']}-{match['platform']}"
    return WheelName(filename, match["distribution"], match["version"], match["build"] or "", tag)


def normalize(distribution: str) -> str:
    """Return a distribution's name in the form that compares: lower case, runs of ``-_.`` as one ``-``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def expand(tag: str) -> tuple[str, ...]:
    """Return the single tags of a compressed one: ``py2.py3-none-any`` gives two."""
    return tuple("-".join(parts) for parts in product(*(part.split(".") for part in tag.split("-"))))
