"""`outrider up` as people start it: what it prints, TLS with its own authority, a second start."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.support.managers import manager_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_first_start_says_how_to_log_in_and_the_second_does_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with manager_process(home) as running:
        said = (home / "up.log").read_text()
        assert running.password in said
        assert "cfy profiles use 127.0.0.1" in said
        assert (home / "admin.password").stat().st_mode & 0o077 == 0
        assert running.call("GET", "/status").json()["services"]["Dispatcher"]["status"] == "Active"
        assert running.call("GET", "/outrider/v1/ready", user=None).status_code == 200
        assert "outrider_build_info" in running.call("GET", "/outrider/v1/metrics").text
    with manager_process(home) as running:
        assert running.password not in (home / "up.log").read_text()
        assert running.call("GET", "/status").status_code == 200


def test_tls_is_served_with_an_authority_made_at_the_first_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with manager_process(home, "--tls") as running:
        assert running.url.startswith("https://")
        authority = str(home / "tls" / "ca.pem")
        answer = requests.get(f"{running.url}/api/version", verify=authority, timeout=10)
        assert answer.json()["edition"] == "community"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{running.url}/api/version", timeout=10)
