"""Errors of the secret store. None of them holds a value, or a part of one.

::

    SecretError (a DispatcherError)
    ├── SecretMissing      there is no secret of this name for this tenant (also a NotFound)
    ├── SecretExists       there is one already (also an AlreadyExists)
    ├── SecretUnreadable   the stored bytes are not what was stored: damaged, moved, or of another key
    ├── KeyMissing         the key that a secret was encrypted with is not in the key file
    └── NotRedeemable      an attempt asked for a secret that its task does not name
"""

from __future__ import annotations

from collections.abc import Iterable

from outrider.dispatcher.errors import AlreadyExists, DispatcherError, NotFound


class SecretError(DispatcherError):
    """Base of all errors of this package."""


class SecretMissing(SecretError, NotFound):
    """There is no secret of this name for this tenant."""

    def __init__(self, name: str) -> None:
        NotFound.__init__(self, "secret", name)


class SecretExists(SecretError, AlreadyExists):
    """There is a secret of this name."""

    def __init__(self, name: str) -> None:
        AlreadyExists.__init__(self, "secret", name)


class SecretUnreadable(SecretError):
    """A stored secret cannot be decrypted."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"secret {name!r} cannot be decrypted: its row was changed or copied from elsewhere, or the key file was"
            " replaced; restore the key file that belongs to this database, or set the secret again"
        )


class KeyMissing(SecretError):
    """The key that a secret was encrypted with is not in the key file."""

    def __init__(self, key_id: str, path: object) -> None:
        super().__init__(
            f"the key {key_id} is not in {path}: restore the key file that belongs to this database from its backup"
        )


class NotRedeemable(SecretError):
    """An attempt asked for secrets that its task does not name."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        super().__init__(f"the operation's inputs do not refer to the secret(s) {', '.join(self.names)}")
