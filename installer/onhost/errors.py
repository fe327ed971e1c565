"""Errors of the host's side; each crosses the wire as its kind, message and remedy.

HostError
"""

from __future__ import annotations


class HostError(Exception):
    """Something on the host is not as it must be: `kind` names it for programs, `remedy` says what to do."""

    def __init__(self, kind: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.remedy = remedy
