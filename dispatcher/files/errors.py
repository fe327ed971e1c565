"""Errors of the file store and its endpoint.

::

    FilesError (a DispatcherError)
    ├── ContentMismatch   what was put has another hash than was announced; nothing was stored
    ├── NotStored         there is no content of this hash
    ├── FolderRefused     a blueprint's folder holds something that cannot be a resource
    ├── TokenRefused      a token is malformed, expired or not ours
    ├── EnrolmentRefused  a host may not become this agent (any more)
    ├── EnrolmentDelayed  a host may become this agent, but not now: it asks again
    └── ServerFailed      the endpoint did not come up or did not go down in time
"""

from __future__ import annotations

from outrider.dispatcher.errors import DispatcherError


class FilesError(DispatcherError):
    """Base of all errors of this package."""


class ContentMismatch(FilesError):
    """What was put has another hash than was announced."""

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(
            f"the content has the hash {found} instead of {expected}: it was changed or damaged on its way"
        )
        self.expected = expected
        self.found = found


class NotStored(FilesError):
    """There is no content of this hash."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"no file with the hash {sha256} is stored: upload the blueprint or plugin again")
        self.sha256 = sha256


class FolderRefused(FilesError):
    """A folder cannot become a manifest: it names the file and the reason."""


class TokenRefused(FilesError):
    """A token is no good; the text says why and never repeats the token."""


class EnrolmentRefused(FilesError):
    """A host may not become this agent: nobody expects it, or it reports already."""


class EnrolmentDelayed(FilesError):
    """What a host needs to become an agent is not there yet, or the broker does not answer; the text says what."""


class ServerFailed(FilesError):
    """The endpoint could not be started or stopped."""
