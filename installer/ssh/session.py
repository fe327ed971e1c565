"""The installer's conversation with one host: finds a Python, becomes root if it shall, runs the host's actions.

The host program lies in a folder of the login user's own, together with the bundle while that is being sent; the folder
is removed at the end of a successful installation, and kept after a failed one, which then goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

from outrider.installer.bundle.targets import PYTHONS
from outrider.installer.errors import AccessFailed, HostRefused, NoAnswer, NoPython
from outrider.plugins.ssh.access.connection import Connection, connect, quote_home
from outrider.plugins.ssh.access.errors import SshError, SudoMissing
from outrider.plugins.ssh.access.running import CommandAnswer
from outrider.plugins.ssh.access.sudo import answer_prompt, password_of, with_sudo
from outrider.plugins.ssh.access.target import SshTarget, Sudo

STAGE = "~/.cache/outrider-install"
#: What the host program prints when it is ready to read its request.
READY = "outrider-ready\n"
#: Where a Python may be when `python3` is too old or missing: distributions that have several, and platform-python.
CANDIDATES = (
    "python3",
    *(f"python{version}" for version in reversed(PYTHONS)),
    "/usr/local/bin/python3",
    "/usr/libexec/platform-python",
)
FIND_PYTHON = """\
for name in {names}; do
    path=$(command -v "$name" 2>/dev/null) || continue
    version=$("$path" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    echo "$version $path"
done
"""


@dataclass(frozen=True)
class HostPython:
    """A Python that is on the host."""

    version: str
    path: str


class HostSession:
    """One host, connected and ready for actions; made by `open_session`."""

    def __init__(self, connection: Connection, *, python: HostPython, elevate: bool, program: bytes) -> None:
        self.target = connection.target
        self.python = python
        #: Whether actions run as root by sudo.
        self.elevate = elevate
        self._connection = connection
        self._program = program
        self._program_path = f"{STAGE}/host-{hashlib.sha256(program).hexdigest()[:16]}.pyz"
        self._sent = False

    @property
    def bytes_sent(self) -> int:
        """What went to the host so far, without the protocol's own part."""
        return self._connection.bytes_sent

    def send_bundle(self, data: bytes, filename: str, progress: Optional[Callable[[int, int], None]] = None) -> int:
        """Send the bundle, continuing an earlier try; returns the bytes that were sent now."""
        with translated():
            self._prepare_stage()
            return self._connection.send_file(data, quote_home(f"{STAGE}/{filename}"), name=filename, progress=progress)

    def stage_path(self, filename: str) -> str:
        """Return the full path of a file that was sent."""
        with translated():
            return self._connection.run(f"printf %s {quote_home(f'{STAGE}/{filename}')}").stdout

    def remove_stage(self) -> None:
        """Remove what was sent."""
        with translated():
            self._connection.run(f"rm -rf {quote_home(STAGE)}")
        self._sent = False

    def act(
        self, action: str, request: Optional[dict[str, Any]] = None, *, timeout_seconds: Optional[float] = None
    ) -> dict[str, Any]:
        """Run an action of the host program and return its answer; raises `HostRefused` with what it says."""
        command = f"{shlex.quote(self.python.path)} -I {quote_home(self._program_path)} {action}"
        if self.elevate:
            command = with_sudo(command)
        with translated():
            self._send_program()
        with translated(), self._connection.open(command, timeout_seconds=timeout_seconds) as running:
            answer_prompt(running, self.target, ready=READY.strip())
            running.send(json.dumps(request or {}).encode() + b"\n")
            answer = running.finish()
        return self._read(action, answer)

    def _read(self, action: str, answer: CommandAnswer) -> dict[str, Any]:
        lines = answer.stdout.strip().splitlines()
        try:
            found = json.loads(lines[-1])
        except (ValueError, IndexError):
            said = (answer.stderr or answer.stdout).strip()[-500:]
            raise NoAnswer(
                f"{self.target.host} gave no answer to {action} (exit code {answer.code}): {said or 'nothing'}"
            ) from None
        if not found.pop("ok"):
            raise HostRefused(found["message"], remedy=found["remedy"], cause=found["kind"].replace("-", " "))
        return dict(found)

    def _prepare_stage(self) -> None:
        stage = quote_home(STAGE)
        made = self._connection.run(f"umask 077 && mkdir -p {stage} && chmod 700 {stage}")
        if made.code != 0:
            raise HostRefused(
                f"cannot make {STAGE} on {self.target.host}: {made.stderr.strip()}",
                remedy=f"the home of {self.target.user} must be writable and have space",
                cause="the host's disk",
            )

    def _send_program(self) -> None:
        if self._sent:
            return
        self._prepare_stage()
        path = quote_home(self._program_path)
        self._connection.send_file(self._program, path, name="the installer's program")
        self._sent = True


@contextlib.contextmanager
def open_session(target: SshTarget, program: bytes) -> Iterator[HostSession]:
    """Connect to a host and find out how to work there."""
    with contextlib.ExitStack() as stack:
        with translated():
            connection = stack.enter_context(connect(target))
            python = find_python(connection)
            elevate = _shall_elevate(connection)
        yield HostSession(connection, python=python, elevate=elevate, program=program)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the errors of SSH and sudo into the installer's."""
    try:
        yield
    except SshError as error:
        raise AccessFailed(error) from error


def find_python(connection: Connection) -> HostPython:
    """Return the newest Python of the host that the agent runs on; raises `NoPython` with what was found."""
    target = connection.target
    names = (target.python,) if target.python else CANDIDATES
    answer = connection.run(FIND_PYTHON.format(names=" ".join(map(shlex.quote, names))))
    found = [HostPython(*line.split(" ", 1)) for line in answer.stdout.splitlines() if " " in line]
    fitting = [python for python in found if python.version in PYTHONS]
    if not fitting:
        have = ", ".join(f"{python.version} ({python.path})" for python in found) or "none"
        raise NoPython(
            f"{target.host} has no Python that the agent runs on; found: {have}",
            remedy=f"install Python {PYTHONS[0]} to {PYTHONS[-1]} on the host (pip and venv are not needed)",
        )
    # `max` keeps the first of equals: a plain `python3` before its longer names.
    return max(fitting, key=lambda python: PYTHONS.index(python.version))


def _shall_elevate(connection: Connection) -> bool:
    """Decide whether actions go through sudo; raises where root is wanted and cannot be had."""
    target = connection.target
    if target.sudo is Sudo.NEVER or connection.run("id -u").stdout.strip() == "0":
        return False
    if connection.run("sudo -k -n true").code == 0:
        return True
    if password_of(target) is None and target.sudo is Sudo.AUTO:
        return False
    try:
        with connection.open(with_sudo(f"sh -c 'printf {shlex.quote(READY.strip())}\\n >&2'")) as running:
            answer_prompt(running, target, ready=READY.strip())
    except SudoMissing:
        if target.sudo is Sudo.AUTO:
            return False
        raise
    return True
