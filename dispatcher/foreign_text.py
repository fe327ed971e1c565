"""Text from hosts, made such that every store takes it: used by `consumers` on each message before it is decoded.

Operations meet file names that are no UTF-8 (Python holds their bytes as lone surrogates) and binary rubbish, and put
both into errors, log lines, values and properties. UTF-8 has no lone surrogates and PostgreSQL's text has no NUL: one
such error would fail the transaction of all executions, in every attempt to write it.
"""

from __future__ import annotations

import re

from outrider.messaging.messages import AgentHeartbeat, Message, OperationResult, OperationUpdate

#: The store's integers have 32 bits, and an epoch is a short name.
_LARGEST = 2**31 - 1
_LONGEST_EPOCH = 64

_REPLACEMENT = rb"\ufffd"
#: Escapes of JSON, the ones that stay first: an escaped backslash, and two surrogates that are one character.
_ESCAPE = re.compile(
    rb"\\\\"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<unstorable>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def storable_json(body: bytes) -> bytes:
    """Return a message's body with U+FFFD in place of each NUL and each lone surrogate."""
    if b"\\u0000" not in body and b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found["unstorable"] else found[0], body)


def storable_numbers(message: Message) -> bool:
    """Return whether a store takes what a message counts: agents of ours count slowly, others may say anything."""
    if isinstance(message, AgentHeartbeat):
        return 0 <= message.journal_sequence <= _LARGEST and len(message.journal_epoch) <= _LONGEST_EPOCH
    counted: list[int] = []
    if isinstance(message, (OperationResult, OperationUpdate)):
        counted += [each.sequence for each in message.properties]
    if isinstance(message, OperationUpdate):
        counted += [each.sequence for each in message.logs]
        counted += [each.sequence for each in message.events]
    return all(0 <= each <= _LARGEST for each in counted)
