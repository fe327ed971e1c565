"""Why a file could not be fetched: raised by `fetch` and `download`."""

from __future__ import annotations


class FetchError(Exception):
    """A file could not be fetched; the text names it, the source and the reason."""


class NotThere(FetchError):
    """The source has no such file: trying again does not help."""


class WrongContent(FetchError):
    """What arrived has another hash than was asked for."""
