"""Encryption of one value: AES-256-GCM, bound to the secret's tenant and name.

Layout: one byte version (1), one byte length of the key's id, the id, 12 bytes nonce, ciphertext with tag. Tenant and
name are authenticated with it: a row copied to another name, or to another tenant, does not decrypt.
"""

from __future__ import annotations

import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outrider.dispatcher.secrets.errors import SecretUnreadable
from outrider.dispatcher.secrets.keyring import KeyRing

_VERSION = 1
_HEADER_BYTES = 2
_NONCE_BYTES = 12


class Cipher:
    """Encrypts JSON values with the active key of a key ring, and decrypts with whichever was used."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def encrypt(self, value: Any, *, tenant: str, name: str) -> bytes:
        """Return the bytes to store."""
        key_id, key = self._keys.active()
        nonce = os.urandom(_NONCE_BYTES)
        header = bytes((_VERSION, len(key_id))) + key_id.encode("ascii")
        sealed = AESGCM(key).encrypt(nonce, json.dumps(value).encode(), _bound_to(header, tenant, name))
        return header + nonce + sealed

    def decrypt(self, stored: bytes, *, tenant: str, name: str) -> Any:
        """Return the value; raises SecretUnreadable, KeyMissing."""
        key_id = key_id_of(stored, name)
        split = _HEADER_BYTES + len(key_id)
        nonce, sealed = stored[split : split + _NONCE_BYTES], stored[split + _NONCE_BYTES :]
        try:
            plain = AESGCM(self._keys.key(key_id)).decrypt(nonce, sealed, _bound_to(stored[:split], tenant, name))
        except (InvalidTag, ValueError):
            raise SecretUnreadable(name) from None
        return json.loads(plain)


def key_id_of(stored: bytes, name: str) -> str:
    """Return the id of the key that a value was encrypted with; raises SecretUnreadable."""
    if len(stored) < _HEADER_BYTES or stored[0] != _VERSION:
        raise SecretUnreadable(name)
    try:
        return stored[_HEADER_BYTES : _HEADER_BYTES + stored[1]].decode("ascii")
    except UnicodeDecodeError:
        raise SecretUnreadable(name) from None


def _bound_to(header: bytes, tenant: str, name: str) -> bytes:
    return header + json.dumps([tenant, name]).encode()
