"""The endpoint as an agent meets it: over a socket, with tokens, ranges and broken requests."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
import socket
import threading

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outrider.agent.runner.fetch import fetch
from outrider.dispatcher.files import (
    ContentStore,
    EnrolmentDelayed,
    EnrolmentRefused,
    FileTokens,
    ServerFailed,
    Subject,
    SubjectKind,
    TokenRefused,
    local_ref,
)
from outrider.dispatcher.files.ranges import Span, Unsatisfiable, parse_range
from outrider.dispatcher.files.server import FilesServer, ServerSettings

AGENT = Subject(kind=SubjectKind.AGENT, id="vm.example-1")
NEW_HOST = Subject(kind=SubjectKind.ENROLMENT, id="vm-1")
DATA = bytes(range(256)) * 4000


@pytest.fixture
def tokens():
    return FileTokens(b"k" * 32)


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "files")


@pytest.fixture
def server(store, tokens):
    with FilesServer(store, tokens) as running:
        yield running
    assert not any(thread.name == "outrider-files" for thread in threading.enumerate())


@pytest.fixture
def sha256(store):
    return store.put_bytes(DATA).sha256


@pytest.fixture
def ask(server, tokens):
    good = tokens.issue(AGENT, lifetime_seconds=60)

    def ask(name, *, method="GET", token=good, **headers):
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return requests.request(method, f"{server.url}/{name}", headers=sent, timeout=10)

    return ask


def test_content_comes_whole_with_its_length_and_tag(ask, sha256):
    answer = ask(sha256)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["ETag"] == f'"{sha256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_head_has_the_headers_and_no_body(ask, sha256):
    answer = ask(sha256, method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(DATA))


def test_empty_content_is_content(ask, store):
    answer = ask(store.put_bytes(b"").sha256)
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("header", "start", "end"), [("bytes=0-0", 0, 1), ("bytes=1000-", 1000, None), ("bytes=-5", -5, None)]
)
def test_a_range_is_answered_with_the_part(ask, sha256, header, start, end):
    answer = ask(sha256, Range=header)
    assert answer.status_code == 206
    assert answer.content == DATA[start:end]
    first = start % len(DATA)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(DATA)}"


def test_a_range_of_another_entity_is_answered_with_the_whole(ask, sha256):
    assert ask(sha256, Range="bytes=5-", If_Range=f'"{sha256}"').status_code == 206
    assert ask(sha256, Range="bytes=5-", If_Range='"other"').status_code == 200


def test_a_range_behind_the_end_is_416(ask, sha256):
    answer = ask(sha256, Range=f"bytes={len(DATA)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_a_known_tag_is_304(ask, sha256):
    assert ask(sha256, If_None_Match=f'"{sha256}"').status_code == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(ask, sha256, method):
    assert ask(sha256, method=method).status_code == 405


@pytest.mark.parametrize(
    "name", ["0" * 64, "..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/etc/passwd", ".lock", ".incoming", "", "aa/" + "a" * 64]
)
def test_what_is_not_content_is_404(ask, name):
    assert ask(name).status_code == 404


def test_a_request_without_a_good_token_is_401(ask, sha256, tokens):
    expired = tokens.issue(AGENT, lifetime_seconds=-1)
    foreign = FileTokens(b"z" * 32).issue(AGENT, lifetime_seconds=60)
    for token in (None, "", "x", expired, foreign):
        answer = ask(sha256, token=token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert ask("0" * 64, token=token).status_code == 401


def test_a_refused_request_is_logged_without_the_token(ask, sha256, tokens, caplog):
    expired = tokens.issue(AGENT, lifetime_seconds=-1)
    with caplog.at_level(logging.WARNING):
        ask(sha256, token=expired)
    assert "agent vm.example-1 has expired" in caplog.text
    assert expired not in caplog.text


def test_an_agent_fetches_with_the_reference_that_it_was_given(server, sha256, tmp_path):
    ref = server.ref(AGENT, lifetime_seconds=60)
    got = fetch({"url": ref.url, "token": ref.token}, sha256, tmp_path / "wagon")
    assert got.read_bytes() == DATA


def test_an_agent_on_this_machine_reads_the_folder(store, sha256, tmp_path):
    assert fetch({"url": local_ref(store).url}, sha256, tmp_path / "wagon").read_bytes() == DATA


def test_many_transfers_at_once(server, sha256, tokens):
    token = tokens.issue(AGENT, lifetime_seconds=60)
    found = []

    def load():
        answer = requests.get(f"{server.url}/{sha256}", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        found.append(hashlib.sha256(answer.content).hexdigest())

    threads = [threading.Thread(target=load) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [sha256] * 10


def test_connections_that_ask_nothing_keep_nobody_out(store, tokens, sha256):
    settings = ServerSettings(concurrent_requests=4, request_seconds=3.0)
    with FilesServer(store, tokens, settings) as server, contextlib.ExitStack() as stack:
        silent, begun, again = (
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(3)
        )
        begun.sendall(b"GET /files")
        again.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert again.recv(100).startswith(b"HTTP/1.1 404")
        again.sendall(b"GET /fi")
        # Which of them the answer has not ended yet does not matter: each comes to its end.
        for each in (silent, begun, again):
            while each.recv(1000):
                pass
        reference = server.ref(AGENT, lifetime_seconds=60)
        answer = requests.get(
            f"{reference.url}/{sha256}", headers={"Authorization": f"Bearer {reference.token}"}, timeout=10
        )
    assert answer.content == DATA


def test_a_port_in_use_is_an_error_that_says_so(server, store, tokens):
    with pytest.raises(ServerFailed, match="choose another address or port"):
        FilesServer(store, tokens, ServerSettings(port=server.port)).start()


def test_an_agent_fetches_over_tls_with_the_authority_that_it_was_given(store, tokens, sha256, tmp_path):
    certificate, key = make_certificate(tmp_path)
    settings = ServerSettings(
        advertise="localhost", certificate=certificate, certificate_key=key, authority=certificate
    )
    with FilesServer(store, tokens, settings) as server:
        ref = server.ref(AGENT, lifetime_seconds=60)
        assert ref.url.startswith("https://localhost:")
        source = {"url": ref.url, "token": ref.token, "ca_pem": ref.ca_pem}
        assert fetch(source, sha256, tmp_path / "wagon").read_bytes() == DATA


def make_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_a_token_names_its_subject(tokens):
    for subject in (AGENT, Subject(kind=SubjectKind.ATTEMPT, id="a.b/ü-1")):
        assert tokens.verify(tokens.issue(subject, lifetime_seconds=5)) == subject


def test_a_changed_token_is_refused(tokens):
    token = tokens.issue(AGENT, lifetime_seconds=5)
    version, _kind, name, expiry, signature = token.split(".")
    for forged in (
        f"{version}.attempt.{name}.{expiry}.{signature}",
        f"{version}.agent.{name}.{int(expiry) + 1}.{signature}",
        token[:-1],
        token + "é",
        "." * 4,
        "x" * 5000,
    ):
        with pytest.raises(TokenRefused):
            tokens.verify(forged)


def test_a_token_expires_by_the_dispatchers_clock():
    now = [1000.0]
    tokens = FileTokens(b"k" * 32, clock=lambda: now[0])
    token = tokens.issue(AGENT, lifetime_seconds=10)
    now[0] = 1009.0
    tokens.verify(token)
    now[0] = 1010.0
    with pytest.raises(TokenRefused, match="expired"):
        tokens.verify(token)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=2-4", Span(start=2, end=5)),
        ("bytes=2-", Span(start=2, end=10)),
        ("bytes=2-99", Span(start=2, end=10)),
        ("bytes=-3", Span(start=7, end=10)),
        ("bytes=-99", Span(start=0, end=10)),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges(header, expected):
    assert parse_range(header, size=10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_ranges_outside(header):
    with pytest.raises(Unsatisfiable):
        parse_range(header, size=10)


# A host that brings its agent itself


@pytest.fixture
def enrol(store, tokens):
    """Ask to become an agent; what is asked of whom is in `enrol.asked`."""

    def answer(agent_id, said):
        enrol.asked.append((agent_id, said))
        if said.get("bundle") == "missing":
            raise EnrolmentDelayed("the bundle is being made")
        if said.get("known"):
            raise EnrolmentRefused("it reports already")
        return {"version": "1.0", "python": said["python"]}

    def enrol(said, *, subject=NEW_HOST, lifetime_seconds=60):
        token = tokens.issue(subject, lifetime_seconds=lifetime_seconds)
        return requests.post(
            f"{server.url}/agents", json=said, headers={"Authorization": f"Bearer {token}"}, timeout=10
        )

    enrol.asked = []
    with FilesServer(store, tokens, enrol=answer) as server:
        yield enrol


def test_a_host_with_a_token_for_it_enrols_as_that_agent(enrol):
    answered = enrol({"python": "3.11"})

    assert answered.status_code == 200
    assert answered.json() == {"version": "1.0", "python": "3.11"}
    assert enrol.asked == [("vm-1", {"python": "3.11"})]


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"bundle": "missing"}, 503, "being made"),
        ({"known": True}, 403, "reports already"),
        ({}, 400, "KeyError: 'python'"),
        ({"python": "3" * 100_000}, 400, "too long"),
    ],
)
def test_an_enrolment_that_fails_says_why(enrol, said, status, words):
    answered = enrol(said)

    assert answered.status_code == status
    assert words in answered.text


def test_an_agents_token_does_not_enrol_and_an_old_one_neither(enrol):
    assert enrol({"python": "3.11"}, subject=AGENT).status_code == 401
    assert enrol({"python": "3.11"}, lifetime_seconds=-1).status_code == 401
    assert enrol.asked == []


def test_an_endpoint_without_a_broker_enrols_nobody(ask):
    assert ask("agents", method="POST").status_code == 405
