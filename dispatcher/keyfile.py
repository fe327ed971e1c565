"""A random key in a file of its own, made at first use; signs the tokens of `dispatcher.files`.

Dispatchers that share a store share this file, too, so that a token of one is good at the other.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from outrider.dispatcher.durable import create_file
from outrider.dispatcher.errors import DispatcherError

KEY_BYTES = 32


class KeyFileError(DispatcherError):
    """A key file cannot be used; the text says why and what to do."""


def load_key(path: Path) -> bytes:
    """Return the key in this file; makes the file if there is none. Raises KeyFileError."""
    if not path.exists():
        create_file(path, secrets.token_bytes(KEY_BYTES))
    key = read_private(path)
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"key file {path} holds {len(key)} bytes instead of {KEY_BYTES}: restore it from a backup")
    return key


def read_private(path: Path) -> bytes:
    """Return the content of a file that only its owner may read. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise KeyFileError(
                    f"key file {path} can be read by others (mode {mode:04o}): run chmod 600 {path},"
                    " and replace the key if somebody may have read it"
                )
            return file.read()
    except OSError as error:
        raise KeyFileError(f"cannot read key file {path}: {error.strerror}") from error
