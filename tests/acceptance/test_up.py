"""`outrider up` as people start it: what it prints, TLS with its own authority, a second start."""

from __future__ import annotations

import os
import subprocess
import sys
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
        second = subprocess.run(
            [sys.executable, "-m", "outrider.cli", "up", "--listen", "127.0.0.1:0"],
            env={**os.environ, "OUTRIDER_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (second.returncode, "Traceback" in second.stderr) == (5, False), second.stderr
        assert "is in use, `outrider up` or `outrider run` is at work there" in second.stderr
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
