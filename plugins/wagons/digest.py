"""SHA-256 of files and streams: what wagons, wheels and RECORD entries are known by."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while True:
            data = stream.read(_CHUNK_BYTES)
            if not data:
                return digest.hexdigest()
            digest.update(data)


def record_hash(algorithm: str, digest: bytes) -> str:
    """Return a digest as RECORD files write it: ``sha256=`` and URL-safe base64 without padding.

    The format is that of https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
    """
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"


def record_row(place: str, content: bytes) -> tuple[str, str, str]:
    """Return the row of RECORD for a file with this content."""
    return place, record_hash("sha256", hashlib.sha256(content).digest()), str(len(content))
