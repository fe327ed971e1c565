"""Hashes passwords with scrypt, so that a stolen database costs an attacker memory and time for every guess.

Stored form: ``scrypt$<log2 n>$<r>$<p>$<salt>$<hash>``, the last two in hexadecimal; the parameters travel with the
hash, so that they can be raised later without touching older accounts.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

#: 2**15 · 8 · 128 bytes = 32 MiB a guess, some 60 ms on a server's core.
LOG2_N = 15
BLOCK = 8
PARALLEL = 1
SALT_BYTES = 16
#: OpenSSL refuses more than 32 MiB unless it is told otherwise.
MEMORY_BYTES = 64 * 2**20


def hash_password(password: str) -> str:
    """Return what is stored of a password."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _derive(password, salt, log2_n=LOG2_N, block=BLOCK, parallel=PARALLEL)
    return f"scrypt${LOG2_N}${BLOCK}${PARALLEL}${salt.hex()}${digest.hex()}"


def matches(password: str, stored: str | None) -> bool:
    """Tell whether a password is the stored one; takes as long where nothing is stored."""
    kind, log2_n, block, parallel, salt, digest = (stored or _NOBODY).split("$")
    if kind != "scrypt":
        return False
    found = _derive(password, bytes.fromhex(salt), log2_n=int(log2_n), block=int(block), parallel=int(parallel))
    return hmac.compare_digest(found.hex(), digest) and stored is not None


def _derive(password: str, salt: bytes, *, log2_n: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=1 << log2_n, r=block, p=parallel, maxmem=MEMORY_BYTES
    )


#: Compared with when there is no such user, so that the answer's time does not tell.
_NOBODY = f"scrypt${LOG2_N}${BLOCK}${PARALLEL}${'0' * 32}${'0' * 128}"
