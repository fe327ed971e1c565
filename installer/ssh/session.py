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
from outrider.installer.errors import (
    CommandTimedOut,
    ConnectionLost,
    HostRefused,
    NoPython,
    SudoMissing,
    SudoPasswordNeeded,
    SudoPasswordWrong,
)
from outrider.installer.ssh.connection import CommandAnswer, Connection, Running, connect, quote_home
from outrider.installer.ssh.target import SshTarget, Sudo

STAGE = "~/.cache/outrider-install"
#: What sudo is told to print when it wants the password: nothing else prints this.
PROMPT = "outrider-sudo-password:"
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
        self._prepare_stage()
        return self._connection.send_file(data, quote_home(f"{STAGE}/{filename}"), name=filename, progress=progress)

    def stage_path(self, filename: str) -> str:
        """Return the full path of a file that was sent."""
        answer = self._connection.run(f"printf %s {quote_home(f'{STAGE}/{filename}')}")
        return answer.stdout

    def remove_stage(self) -> None:
        """Remove what was sent."""
        self._connection.run(f"rm -rf {quote_home(STAGE)}")
        self._sent = False

    def act(
        self, action: str, request: Optional[dict[str, Any]] = None, *, timeout_seconds: Optional[float] = None
    ) -> dict[str, Any]:
        """Run an action of the host program and return its answer; raises `HostRefused` with what it says."""
        self._send_program()
        command = f"{shlex.quote(self.python.path)} -I {quote_home(self._program_path)} {action}"
        if self.elevate:
            command = _with_sudo(command)
        with self._connection.open(command, timeout_seconds=timeout_seconds) as running:
            _start(running, self.target)
            running.send(json.dumps(request or {}).encode() + b"\n")
            answer = running.finish()
        return self._read(action, answer)

    def _read(self, action: str, answer: CommandAnswer) -> dict[str, Any]:
        lines = answer.stdout.strip().splitlines()
        try:
            found = json.loads(lines[-1])
        except (ValueError, IndexError):
            said = (answer.stderr or answer.stdout).strip()[-500:]
            raise HostRefused(
                f"{self.target.host} gave no answer to {action} (exit code {answer.code}): {said or 'nothing'}",
                remedy="see whether something on the host ends processes, then run this again",
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
    with connect(target) as connection:
        python = find_python(connection)
        yield HostSession(connection, python=python, elevate=_shall_elevate(connection), program=program)


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
    password = _sudo_password(target)
    if password is None and target.sudo is Sudo.AUTO:
        return False
    try:
        with connection.open(_with_sudo(f"sh -c 'printf {shlex.quote(READY.strip())}\\\\n >&2'")) as running:
            _start(running, target)
    except SudoMissing:
        if target.sudo is Sudo.AUTO:
            return False
        raise
    return True


def _with_sudo(command: str) -> str:
    # -k: a remembered password would leave ours in the program's input; -H: root's home, not the user's.
    return f"sudo -k -S -H -p {shlex.quote(PROMPT)} -- {command}"


def _sudo_password(target: SshTarget) -> Optional[str]:
    return target.sudo_password if target.sudo_password is not None else target.password


def _start(running: Running, target: SshTarget) -> None:
    """Bring a command to where it reads its request: answers sudo's prompt, once."""
    given = False
    while True:
        marker = running.wait_for_stderr(PROMPT, READY.strip())
        if marker == READY.strip():
            return
        if marker != PROMPT:
            raise _not_started(running, target)
        password = _sudo_password(target)
        if given:
            raise SudoPasswordWrong(f"sudo on {target.host} does not take the password of {target.user}")
        if password is None:
            raise SudoPasswordNeeded(f"sudo on {target.host} asks {target.user} for a password")
        running.send(password.encode() + b"\n")
        given = True


def _not_started(running: Running, target: SshTarget) -> Exception:
    """Say why a command ended before it was ready."""
    try:
        answer = running.finish()
    except (ConnectionLost, CommandTimedOut) as error:
        return error
    said = (answer.stderr or answer.stdout).strip()
    if "incorrect password" in said:
        return SudoPasswordWrong(f"sudo on {target.host} does not take the password of {target.user}")
    if "a terminal is required" in said or "must have a tty" in said:
        remedy = f"remove `requiretty` for {target.user} from the host's sudoers"
        return SudoMissing(f"sudo on {target.host} wants a terminal: {said[-200:]}", remedy=remedy)
    if "sudo" in said and answer.code != 0:
        return SudoMissing(f"{target.user} may not use sudo on {target.host}: {said.splitlines()[-1]}")
    return HostRefused(f"a command on {target.host} ended at once with {answer.code}: {said[-300:]}")
