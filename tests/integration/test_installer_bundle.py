"""A bundle has the same bytes every time, and makes an agent's environment without pip, venv or network."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from outrider.installer.bundle import Bundle, Target, build_bundle, make_targets
from outrider.installer.bundle.ownwheel import pack_own_wheel
from outrider.installer.errors import BundleDamaged, BundleUnfit
from tests.support.pythons import require_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(tmp_path_factory.mktemp("bundle") / "agent.tar", make_targets(dict.fromkeys(["3.9", PYTHON])))


def act(
    python: str, bundle: Bundle, folder: Path, action: str, *, without: str = "", **request: object
) -> dict[str, object]:
    """Run an action of the host program as the installer does, below a prefix; `without`: a module that is missing."""
    program = folder / "host.pyz"
    program.write_bytes(bundle.host_program)
    start = [str(program)]
    if without:
        hidden = f"import runpy, sys; sys.modules[{without!r}] = None; sys.argv = sys.argv[1:]"
        start = ["-c", f"{hidden}; runpy.run_path(sys.argv[0], run_name='__main__')", str(program)]
    answer = subprocess.run(
        [python, "-I", *start, action],
        input=json.dumps({"prefix": str(folder / "root"), **request}) + "\n",
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def test_the_same_files_give_the_same_wheel_without_what_hosts_do_not_need(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = pack_own_wheel(tmp_path / "a"), pack_own_wheel(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        packages = {"/".join(name.split("/")[:2]) for name in wheel.namelist() if name.startswith("outrider/")}
    assert packages == {"outrider/messaging", "outrider/agent", "outrider/plugins"}


@pytest.mark.parametrize(("version", "without"), [("3.9", ""), (PYTHON, ""), (PYTHON, "venv")])
def test_a_bare_python_gets_an_environment_in_which_the_agent_starts(
    bundle: Bundle, tmp_path: Path, version: str, without: str
) -> None:
    python = require_python(version)
    part = bundle.select(Target(version, "linux-x86_64"))
    archive = tmp_path / part.filename
    archive.write_bytes(part.data)
    request = {"archive": str(archive), "sha256": part.sha256, "name": part.version}
    assert act(python, bundle, tmp_path, "verify", **request)["ok"]
    built = act(python, bundle, tmp_path, "environment", without=without, **request)
    assert built["ok"], built
    assert built["built"]
    again = act(python, bundle, tmp_path, "environment", **request)
    assert not again["built"]
    agent = Path(str(built["folder"])) / "bin" / "python"
    shown = subprocess.run([str(agent), "-m", "outrider.agent", "--help"], capture_output=True, text=True, check=True)
    assert "--config" in shown.stdout


def test_a_damaged_transfer_is_found_and_removed(bundle: Bundle, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar"
    archive.write_bytes(b"x")
    wanted = hashlib.sha256(b"y").hexdigest()
    answer = act(sys.executable, bundle, tmp_path, "verify", archive=str(archive), sha256=wanted)
    assert (answer["ok"], answer["kind"]) == (False, "bundle-damaged")
    assert answer["remedy"]
    assert not archive.exists()


def test_a_damaged_or_unfit_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    data = bytearray(bundle.path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(BundleDamaged, match="outrider agent bundle"):
        Bundle(damaged)
    with pytest.raises(BundleUnfit, match="--platform linux-aarch64"):
        bundle.select(Target(PYTHON, "linux-aarch64"))
