"""Frames between agent, runner and children: whole or not at all, however the socket cuts them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from outrider.agent.runner import protocol
from outrider.agent.runner.protocol import ProtocolError, frame, receive_frame, send_frame

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(30)
        yield ours, theirs


@pytest.mark.parametrize("size", [0, 1, protocol._AT_ONCE - 50, protocol._AT_ONCE, 5 * protocol._AT_ONCE, 3 << 20])
def test_a_frame_of_any_size_arrives_whole(ends: Ends, size: int) -> None:
    ours, theirs = ends
    message = {"text": "x" * size}
    sender = threading.Thread(target=send_frame, args=(theirs, message))
    sender.start()
    assert receive_frame(ours) == message
    sender.join(30)


def test_a_frame_that_comes_in_pieces_arrives_whole(ends: Ends) -> None:
    ours, theirs = ends
    body = frame(json.dumps({"text": "in pieces"}).encode())
    received: list[object] = []
    receiver = threading.Thread(target=lambda: received.append(receive_frame(ours)))
    receiver.start()
    for piece in (body[:2], body[2:7], body[7:]):
        theirs.sendall(piece)
    receiver.join(30)
    assert received == [{"text": "in pieces"}]


@pytest.mark.parametrize("sent", [0, 3, 4, 20])
def test_a_connection_that_ends_early_gives_no_frame(ends: Ends, sent: int) -> None:
    ours, theirs = ends
    theirs.sendall(frame(json.dumps({"text": "cut off before its end"}).encode())[:sent])
    theirs.close()
    assert receive_frame(ours) is None


def test_of_two_frames_at_once_the_first_one_counts(ends: Ends) -> None:
    ours, theirs = ends
    theirs.sendall(frame(b'{"said": "first"}') + frame(b'{"said": "second"}'))
    assert receive_frame(ours) == {"said": "first"}


@pytest.mark.parametrize("body", [b"[]", b"1", b"null"])
def test_what_is_no_object_is_refused(ends: Ends, body: bytes) -> None:
    ours, theirs = ends
    theirs.sendall(frame(body))
    with pytest.raises(ProtocolError, match="does not hold a JSON object"):
        receive_frame(ours)


def test_a_frame_that_nobody_could_mean_is_refused_before_it_is_read(ends: Ends) -> None:
    ours, theirs = ends
    theirs.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(ProtocolError, match="4294967295 bytes"):
        receive_frame(ours)
