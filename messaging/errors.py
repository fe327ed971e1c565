"""Errors of messaging.

MessagingError
├── DecodeError            a message that is not one of ours, or not valid
├── EncodeError            a message that holds a value that JSON does not have
├── NobodyThere            a question to an agent of which the broker has no queue
└── TransportError         the transport cannot do what was asked
    ├── TransportClosed    the transport was closed, by us
    ├── ConnectFailed      no broker of the list could be reached, or it refused us
    ├── InvalidSettings    an address or an option that cannot be used
    ├── ManagementFailed   the broker's management API could not be reached, or refused
    └── TopologyMismatch   a queue or exchange is missing, or exists with other arguments
"""

from __future__ import annotations


class MessagingError(Exception):
    """The root of all errors that this package raises."""


class DecodeError(MessagingError):
    """A message's body is not valid: the text says which field and why."""


class EncodeError(MessagingError):
    """A message holds a value that JSON does not have: the text says which kind."""


class NobodyThere(MessagingError):
    """The broker has no queue of the agent that was asked something; the text names it."""


class TransportError(MessagingError):
    """The transport cannot do what was asked."""


class TransportClosed(TransportError):
    """The transport was closed; nothing can be published or consumed any more."""


class ConnectFailed(TransportError):
    """No broker could be reached, or it refused the connection; the text names each address and its reason."""


class InvalidSettings(TransportError):
    """An address or an option cannot be used; the text names it and says what is expected."""


class ManagementFailed(TransportError):
    """The broker's management API could not be reached, or refused; the text names the request and the answer."""


class TopologyMismatch(TransportError):
    """A queue or an exchange is missing, or exists with other arguments; the text names it."""
