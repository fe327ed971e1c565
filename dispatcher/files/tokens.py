"""The bearer tokens of the endpoint: short-lived, bound to an attempt, an agent or a host, checked without a look-up.

Format: ``f1.<kind>.<id>.<expiry>.<signature>``. Kind is ``attempt``, ``agent`` or ``enrolment``; id is base64url
without padding; expiry is in whole seconds since the epoch by the clock of the dispatchers, which alone read it; the
signature is HMAC-SHA256 over everything before it, in hexadecimal. Bound to somebody, a leaked token says whose it was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from outrider.dispatcher.files.errors import TokenRefused

_VERSION = "f1"
_PARTS = 5
_MAX_LENGTH = 1024


class SubjectKind(str, Enum):
    """Who may fetch."""

    ATTEMPT = "attempt"
    AGENT = "agent"
    #: A host that is to become an agent: may also fetch its configuration, once.
    ENROLMENT = "enrolment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a token was made for."""

    kind: SubjectKind
    id: str


class FileTokens:
    """Issues and verifies tokens with one key (see `dispatcher.keyfile`)."""

    def __init__(self, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock

    def issue(self, subject: Subject, *, lifetime_seconds: float) -> str:
        """Return a token that is good for this long."""
        name = base64.urlsafe_b64encode(subject.id.encode()).rstrip(b"=").decode()
        body = f"{_VERSION}.{subject.kind.value}.{name}.{int(self._clock() + lifetime_seconds)}"
        return f"{body}.{self._sign(body)}"

    def verify(self, token: str) -> Subject:
        """Return whom the token was made for; raises TokenRefused."""
        if len(token) > _MAX_LENGTH or not token.isascii():
            raise TokenRefused("the token is malformed")
        body, _, signature = token.rpartition(".")
        # The signature first, in constant time: nothing of an unsigned token is worth reading.
        if not hmac.compare_digest(self._sign(body), signature):
            raise TokenRefused("the token was not issued here, or was changed")
        return self._read(body)

    def _read(self, body: str) -> Subject:
        parts = body.split(".")
        if len(parts) != _PARTS - 1 or parts[0] != _VERSION:
            raise TokenRefused("the token has a format that this version does not know")
        _version, kind, name, expiry = parts
        try:
            subject = Subject(
                kind=SubjectKind(kind), id=base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
            )
            expires = int(expiry)
        except (ValueError, binascii.Error) as error:
            raise TokenRefused("the token has a format that this version does not know") from error
        if self._clock() >= expires:
            raise TokenRefused(f"the token of {subject.kind.value} {subject.id} has expired")
        return subject

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
