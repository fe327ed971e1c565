"""The key file: several keys by id, of which one is active. It lives outside the database, so that a copy of the
database alone reveals nothing.

The file is JSON (``{"active": id, "keys": {id: base64}}``), mode 0600, made at first use. All dispatchers and managers
that share a database need the same file.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from outrider.dispatcher.durable import create_file, replace_file
from outrider.dispatcher.keyfile import KEY_BYTES, KeyFileError, read_private
from outrider.dispatcher.secrets.errors import KeyMissing


@dataclass(frozen=True, slots=True)
class _Keys:
    active: str
    by_id: dict[str, bytes] = field(repr=False)


class KeyRing:
    """The keys in a file, which is read again when a key is unknown: another process may have rotated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            create_file(path, _encode(_new_key({})))
        self._keys = self._read()

    def __repr__(self) -> str:
        return f"KeyRing({str(self.path)!r}, active={self._keys.active!r})"

    def active(self) -> tuple[str, bytes]:
        """Return id and key to encrypt with."""
        keys = self._keys = self._read()
        return keys.active, keys.by_id[keys.active]

    def key(self, key_id: str) -> bytes:
        """Return the key of this id; raises KeyMissing."""
        if key_id not in self._keys.by_id:
            self._keys = self._read()
        try:
            return self._keys.by_id[key_id]
        except KeyError:
            raise KeyMissing(key_id, self.path) from None

    def rotate(self) -> str:
        """Add a new key and make it the active one; returns its id. Older keys stay until `retire`."""
        with self._locked():
            self._keys = _new_key(self._read().by_id)
            replace_file(self.path, _encode(self._keys))
        return self._keys.active

    def retire(self, used: Collection[str]) -> tuple[str, ...]:
        """Remove the keys that are neither active nor in `used`; returns their ids."""
        with self._locked():
            keys = self._read()
            gone = tuple(sorted(each for each in keys.by_id if each != keys.active and each not in used))
            self._keys = _Keys(keys.active, {key_id: key for key_id, key in keys.by_id.items() if key_id not in gone})
            replace_file(self.path, _encode(self._keys))
        return gone

    def _read(self) -> _Keys:
        try:
            content = json.loads(read_private(self.path))
            keys = {str(key_id): base64.b64decode(text, validate=True) for key_id, text in content["keys"].items()}
            active = str(content["active"])
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not chained: the parser's message quotes what it read, and that is keys.
            raise KeyFileError(f"key file {self.path} is damaged: restore it from a backup") from None
        if active not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise KeyFileError(f"key file {self.path} is damaged: restore it from a backup")
        return _Keys(active, keys)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _new_key(known: dict[str, bytes]) -> _Keys:
    key_id = secrets.token_hex(4)
    return _Keys(key_id, {**known, key_id: secrets.token_bytes(KEY_BYTES)})


def _encode(keys: _Keys) -> bytes:
    text = {key_id: base64.b64encode(key).decode() for key_id, key in keys.by_id.items()}
    return json.dumps({"active": keys.active, "keys": text}).encode()
