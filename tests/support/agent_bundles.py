"""Bundles for tests of the installer: the real one, built once per run, and variants whose agent is a stand-in.

A stand-in does what the service manager expects of an agent and nothing else; tests of the installer use it where what
the agent does is not the question, and, with other behaviour, as a build that is broken.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from outrider.installer.bundle import Bundle, build_bundle, make_targets
from outrider.installer.bundle.archive import write_bundle
from outrider.installer.errors import BundleBuildFailed

VERSION_MODULE, MAIN_MODULE = "outrider/messaging/version.py", "outrider/agent/__main__.py"
#: Python of the hosts' image.
HOST_PYTHON = "3.11"
STAND_IN = '''\
"""A stand-in for the agent: tells systemd that it is ready and alive, writes down its starts, ends on SIGTERM."""
import os, signal, socket, sys, time, pathlib

config = pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text()
state = pathlib.Path([line.split('"')[1] for line in config.splitlines() if line.startswith("state_dir")][0])

def notify(text):
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(address.replace("@", "\\0", 1))
            sock.send(text.encode())

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
print("stand-in VERSION starts", flush=True)
with (state / "starts").open("a") as stream:
    stream.write(f"VERSION {os.getpid()}\\n")
notify("READY=1")
while not stop:
    notify("WATCHDOG=1")
    time.sleep(0.2)
'''
#: An agent that ends at once, with a word in its log.
BROKEN = 'import sys\nsys.exit("this build is broken")\n'
#: The agent as it is, apart from its operations, of which it can run none: it starts, and reports as ever.
UNABLE = (
    (Path(__file__).parents[2] / "agent" / "__main__.py")
    .read_text(encoding="utf-8")
    .replace(
        'if __name__ == "__main__":',
        """
from outrider.agent.errors import PreparationFailed
from outrider.agent.launch import Launcher

def unable(launcher, attempt):
    raise PreparationFailed("Unable", "this build can run nothing", recoverable=False)

Launcher._environment = unable
if __name__ == "__main__":""",
    )
)


@pytest.fixture(scope="session")
def agent_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return the bundle of the agent as it is in this checkout, for the hosts' Python."""
    path = tmp_path_factory.mktemp("bundle") / "agent.tar"
    try:
        return build_bundle(path, make_targets([HOST_PYTHON]))
    except BundleBuildFailed as error:
        pytest.skip(f"no bundle can be built here: {error}")


@pytest.fixture(scope="session")
def stand_in_bundle(agent_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle whose agent is a stand-in."""
    folder = tmp_path_factory.mktemp("stand-in")
    return variant(agent_bundle, folder, version="0.1.0", agent_main=STAND_IN)


def variant(bundle: Bundle, folder: Path, *, version: str, agent_main: str | None = None) -> Bundle:
    """Return a bundle with another version, and another ``outrider.agent.__main__`` if one is given."""
    with tarfile.open(bundle.path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    manifest = json.loads(files.pop("manifest.json"))
    own = next(name for name in files if name.startswith("wheels/outrider-"))
    changed = {VERSION_MODULE: f'__version__ = "{version}"\n'}
    if agent_main is not None:
        changed[MAIN_MODULE] = agent_main.replace("VERSION", version)
    wheel = _rewrite(files.pop(own), version=version, changed=changed)
    name = f"wheels/outrider-{version}-py3-none-any.whl"
    files[name] = wheel
    targets = {
        target: sorted(name if entry == own else entry for entry in entries)
        for target, entries in manifest["targets"].items()
    }
    return Bundle(write_bundle(folder / f"{version}.tar", version=version, files=files, targets=targets))


def _rewrite(wheel: bytes, *, version: str, changed: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    record: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(sink, "w") as new:

        def add(name: str, data: bytes) -> None:
            new.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append((name, f"sha256={digest}", str(len(data))))

        info = f"outrider-{version}.dist-info"
        for entry in old.namelist():
            if entry in changed or entry.endswith("/RECORD"):
                continue
            data, name = old.read(entry), entry
            folder, slash, rest = entry.partition("/")
            if folder.endswith(".dist-info"):
                name = f"{info}{slash}{rest}"
                data = b"\n".join(
                    b"Version: " + version.encode() if line.startswith(b"Version:") else line
                    for line in data.split(b"\n")
                )
            add(name, data)
        for name, text in changed.items():
            add(name, text.encode())
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows([*record, (f"{info}/RECORD", "", "")])
        new.writestr(f"{info}/RECORD", lines.getvalue())
    return sink.getvalue()
