"""The agent's configuration on its host: written so that only its owner reads it, and compared without being shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from . import marks
from .bootstrap import PASSWORD
from .files import make_folder, write_atomic
from .layout import Layout

MODE, CA_MODE = 0o600, 0o644
#: RabbitMQ's names of how it makes a hash of salt and password.
_HASHES = {"rabbit_password_hashing_sha256": hashlib.sha256, "rabbit_password_hashing_sha512": hashlib.sha512}
_SALT_BYTES = 4


def configure(layout: Layout, request: dict[str, Any]) -> bool:
    """Write the configuration and return whether it changed.

    It holds the broker's password. It comes last: an error says that the agent has the old one.
    """
    make_folder(layout.state, mode=0o700)
    layout.state.chmod(0o700)
    wanted = [(layout.config, str(request["text"]), MODE)]
    if request.get("ca_pem"):
        wanted.insert(0, (layout.ca, str(request["ca_pem"]), CA_MODE))
    if all(_holds(*each) for each in wanted):
        return False
    marks.expect_start(layout)
    for path, text, mode in wanted:
        write_atomic(path, text, mode=mode)
    return True


def is_same(layout: Layout, request: dict[str, Any]) -> bool:
    """Tell whether the configuration is the request's, with a password of which the broker has this hash.

    A password that others could read does not count: it has to be changed.
    """
    text = str(request["text"])
    try:
        found = layout.config.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    before, mark, _ = text.partition(PASSWORD)
    password = found[len(before) :].partition("@")[0] if mark else ""
    if not _holds(layout.config, text.replace(PASSWORD, password), MODE):
        return False
    if request.get("ca_pem") and not _holds(layout.ca, str(request["ca_pem"]), CA_MODE):
        return False
    return fits(unquote(password), str(request["password_hash"]), algorithm=str(request["hashing"]))


def fits(password: str, password_hash: str, *, algorithm: str) -> bool:
    """Tell whether a hash, as RabbitMQ keeps it (base64 of salt and digest), is that of a password."""
    try:
        salted = base64.b64decode(password_hash, validate=True)
    except binascii.Error:
        return False
    digest = _HASHES.get(algorithm)
    if digest is None:
        return False
    salt, expected = salted[:_SALT_BYTES], salted[_SALT_BYTES:]
    return hmac.compare_digest(digest(salt + password.encode()).digest(), expected)


def _holds(path: Path, text: str, mode: int) -> bool:
    try:
        return path.read_bytes() == text.encode("utf-8") and (path.stat().st_mode & 0o777) == mode
    except OSError:
        return False
