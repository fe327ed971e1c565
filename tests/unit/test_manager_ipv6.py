"""The manager on an IPv6 address: it listens there, says where it is in a form to copy, and its clients find it."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from outrider.cli.addresses import host_alone, host_and_port
from outrider.cli.ca import still_serves
from outrider.cli.home import VARIABLE, Home
from outrider.cli.profiles import Profile
from outrider.cli.remote.client import ManagerClient
from outrider.cli.up import address_for_operations, greet, manager_settings, served_files
from outrider.dispatcher.files import ContentStore, FileTokens
from outrider.dispatcher.files.server import FilesServer, ServerSettings
from outrider.manager_stub import CannotServe, ManagerSettings, listen
from outrider.manager_stub.peers import address_of
from tests.support.managers import manager_here


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback address")


def test_an_ipv6_address_has_brackets_before_a_port_and_none_alone() -> None:
    assert host_and_port("[::1]:8099") == ("::1", 8099)
    assert host_and_port("[2001:DB8:0::1]:0") == ("2001:db8::1", 0)
    assert host_and_port("[::]:443") == ("::", 443)
    assert host_and_port("0.0.0.0:443") == ("0.0.0.0", 443)
    assert host_alone("2001:db8::1") == host_alone("[2001:db8::1]") == "2001:db8::1"
    assert host_alone("manager.example") == "manager.example"
    for wrong in ("[::1]:8099", "manager.example:80", "fe80::1%eth0", "https://x", "", "[]"):
        assert host_alone(wrong) is None, wrong


def test_an_ipv4_client_of_a_socket_for_both_kinds_is_told_by_its_own_address() -> None:
    assert address_of(("::ffff:192.0.2.7", 1)) == address_of(("192.0.2.7", 1)) == "192.0.2.7"
    assert address_of(("2001:db8::1", 1)) == "2001:db8::1"
    assert (address_of(("testclient", 1)), address_of(None)) == ("testclient", "unknown")


def test_urls_for_people_agents_and_operations_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    home = Home(tmp_path)
    own = (None, None)
    here = manager_settings(home, "[::1]:8099", advertise=None, plain_http=False, tls=False, own=own)
    assert (here.url, here.certificate) == ("http://[::1]:8099", None), "the loopback address needs no TLS"
    greet(home, here, None)
    said = capsys.readouterr().out
    assert "Outrider is at http://[::1]:8099 (state" in said
    assert "cfy profiles use ::1 -u admin" in said
    assert served_files(here, FileTokens(b"0" * 32))("agent-1").url == "http://[::1]:8099/files"
    assert address_for_operations(here).host == "::1"

    everywhere = manager_settings(home, "[::]:443", advertise="2001:db8::1", plain_http=False, tls=False, own=own)
    assert everywhere.url == "https://[2001:db8::1]:443"
    assert everywhere.certificate is not None
    assert still_serves(everywhere.certificate, ["2001:db8::1", "::1", "127.0.0.1"])


@needs_ipv6
def test_clients_reach_it(tmp_path: Path) -> None:
    with manager_here(tmp_path, host="::1") as (running, _manager):
        assert running.url == f"http://[::1]:{running.port}"
        assert running.call("GET", "/managers").json()["items"][0]["private_ip"] == "::1"
        token = running.call("POST", "/tokens", json={}).json()["value"]
        with closing(ManagerClient(Profile(name="here", url=running.url, token=token))) as client:
            assert client.call("GET", "/deployments")["items"] == []


@needs_ipv6
def test_the_wildcard_takes_ipv4_too() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system's IPv6 sockets take no IPv4")
    with closing(listen(ManagerSettings(host="::", port=0, allow_plain_http=True))) as listener:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, listener.getsockname()[1]), timeout=10).close()


@needs_ipv6
def test_a_port_that_is_taken_is_told_of_in_brackets() -> None:
    with closing(listen(ManagerSettings(host="::1", port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=rf"cannot listen on \[::1\]:{port}: Address already in use; choose"):
            listen(ManagerSettings(host="::1", port=port))


@needs_ipv6
def test_the_files_of_a_dispatcher_without_a_manager_are_served_there_too(tmp_path: Path) -> None:
    settings = ServerSettings(host="::1", port=0)
    with FilesServer(ContentStore(tmp_path / "files"), FileTokens(b"0" * 32), settings) as server:
        assert server.url == f"http://[::1]:{server.port}/files"
        socket.create_connection(("::1", server.port), timeout=10).close()
