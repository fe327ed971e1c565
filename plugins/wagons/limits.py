"""How large an archive may be, so that a hostile or broken one cannot fill a host's disk or memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked while reading, before anything of that size is written.

    The defaults let the largest real plugins pass (machine-learning wheels have some 30,000 files and 2 GiB) and
    stop archives that are meant to exhaust a disk.
    """

    #: Members in one archive, and in one wheel.
    members: int = 100_000
    #: All members of one archive, or of one wheel, unpacked.
    unpacked_bytes: int = 8 * 2**30
    #: Unpacked size against the archive's own; deflate reaches 1,032 at the very most, real wheels stay below 40.
    ratio: int = 200
    #: Ratios are not judged below this size: a few kilobytes of zeros harm nobody.
    ratio_from_bytes: int = 16 * 2**20
    #: ``package.json``, METADATA, RECORD …: files that are read into memory.
    metadata_bytes: int = 32 * 2**20


DEFAULT_LIMITS = Limits()
