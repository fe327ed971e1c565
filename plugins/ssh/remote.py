"""A host during one operation: programs run there, with their output in the log; files go there and come back.

A program's text goes through standard input, so no command line on the host shows it. What it starts ends with the
connection: when a time limit is over, or the operation is cancelled, or the agent dies, nothing is left behind (unless
the program detached it, as daemons do).
"""

from __future__ import annotations

import base64
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional, Union

from outrider.plugins.script.environment import as_text
from outrider.plugins.script.errors import ProcessException
from outrider.plugins.script.process import OutputStream
from outrider.plugins.sdk import NonRecoverableError, RecoverableError
from outrider.plugins.ssh.access import Connection, Running, connect
from outrider.plugins.ssh.access.errors import (
    CommandNotStarted,
    CommandTimedOut,
    ConnectionLost,
    HostUnreachable,
    LoginRefused,
    SshError,
    TransferFailed,
)
from outrider.plugins.ssh.access.running import CommandAnswer
from outrider.plugins.ssh.access.sudo import answer_prompt, with_sudo
from outrider.plugins.ssh.output import Shown
from outrider.plugins.ssh.settings import FabricEnvironment, instance_of
from outrider.plugins.ssh.trust import note, remembering

#: What may be different at the next try; all else stays wrong until somebody changes it.
_PASSING = (HostUnreachable, ConnectionLost, CommandTimedOut, CommandNotStarted, TransferFailed)
_SETTLING_TRIES = 4
_READY = "outrider-ready"
#: Reads the program's text; then takes the end of its input as the sign that nobody waits for it any more, ends all
#: that the program started, and removes the folder that nobody else is there to remove.
_LAUNCHER = """\
printf {ready} >&2
text=$(head -c {size})
exec 3<&0 </dev/null
( trap '' TERM; cat <&3; kill -TERM 0; sleep 5; {abandoned}kill -KILL 0 ) >/dev/null 2>&1 &
( eval "$text" ) 3<&-
code=$?
exec 2>/dev/null
kill -KILL $!
exit $code
"""
#: Where a folder for scripts may be made; hosts often allow no programs below /tmp.
_BASES = ('"${TMPDIR:-/tmp}"', "/var/tmp", '"$HOME"')  # noqa: S108 - mktemp makes a folder of our own there
#: Makes one, says where, and waits. The end of its input, without a word before, means that the operation has died:
#: then nobody else removes the folder, once programs that began there have had the seconds that `_LAUNCHER` gives them.
_FOLDER_KEEPER = """\
umask 077
trap '' HUP
for base in %s; do
    mkdir -p "$base" && folder=$(mktemp -d "$base/outrider-XXXXXXXX") || continue
    printf '#!/bin/sh\\n' > "$folder/try" && chmod 700 "$folder/try" && "$folder/try" && rm "$folder/try" &&
        printf '%%s\\n' "$folder" && { read -r word || sleep 6; rm -rf "$folder"; exit 0; }
    rm -rf "$folder"
done
exit 1
"""
#: Reads a program's text from its input and leaves it the rest.
_WITH_INPUT = 'text=$(head -c {size}); eval "$text"'
#: The same by sudo, in the shell that the other user has.
_BY_SUDO = """sh -c 'exec "${SHELL:-/bin/sh}" -c "$0"' """


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    code: int
    #: The last part of what it printed.
    stdout: str
    stderr: str

    def require_success(self, command: str, *, final_codes: Sequence[int] = ()) -> None:
        """Raise ProcessException if the program failed, NonRecoverableError if its code says that it is for good."""
        if self.code == 0:
            return
        error = ProcessException(command, self.code, self.stdout, self.stderr)
        if self.code in {int(code) for code in final_codes}:
            raise NonRecoverableError(str(error)) from error
        raise error


class RemoteHost:
    """A host that is connected; made by `open_host`."""

    def __init__(self, connection: Connection, environment: FabricEnvironment, logger: Any) -> None:
        self.connection = connection
        self.target = connection.target
        self._shell_env = environment.shell_env
        self._logger = logger

    def run(
        self,
        program: str,
        *,
        name: str,
        sudo: bool = False,
        env: Optional[Mapping[str, Any]] = None,
        shown: Shown = Shown.NOTHING,
        timeout_seconds: Optional[float] = None,
        abandon_when: Callable[[], bool] = lambda: False,
        folder: Optional[str] = None,
    ) -> Result:
        """Run a shell program to its end; errors call it by `name`.

        Its work `folder` is removed on the host if this process ends before the program does.
        """
        streams = {
            "stdout": OutputStream(partial(self._logger.info, "<out> %s") if Shown.STDOUT in shown else None),
            "stderr": OutputStream(partial(self._logger.error, "<err> %s") if Shown.STDERR in shown else None),
        }
        text = _exports({**self._shell_env, **(env or {})}) + program
        try:
            with self._start(text, name=name, sudo=sudo, timeout_seconds=timeout_seconds, folder=folder) as running:
                running.abandon_when(abandon_when)
                running.listen(lambda stream, data: streams[stream].feed(data))
                code = running.finish().code
        finally:
            for stream in streams.values():
                stream.finish()
        return Result(code, streams["stdout"].tail, streams["stderr"].tail)

    @contextmanager
    def work_folder(self, base: Optional[str] = None, *, sudo: bool = False) -> Iterator[str]:
        """Make a folder that only the login user (and root) can read; it is removed with the block.

        A program on the host keeps it, and removes it if this process dies at any moment.
        """
        bases = _BASES if base is None else (shlex.quote(base),)
        with self._kept_folder(" ".join(bases)) as folder:
            try:
                yield folder
            finally:
                # What a program that ran as root left there, only root can remove.
                with suppress(SshError):
                    self.run(f"rm -rf {shlex.quote(folder)}", name="remove the work folder", sudo=sudo)

    @contextmanager
    def _kept_folder(self, bases: str) -> Iterator[str]:
        program = (_exports(self._shell_env) + _FOLDER_KEEPER % bases).encode()
        what = "make a folder for programs"
        with self.connection.open(_WITH_INPUT.format(size=len(program)), name=what) as keeper:
            keeper.send(program)
            folder = keeper.read_line()
            if not folder:
                raise self._failed(what, keeper.finish())
            try:
                yield folder
            finally:
                with suppress(SshError):
                    keeper.send(b"done\n")

    def put(
        self, data: bytes, path: str, *, mode: str = "0600", owner: Optional[str] = None, sudo: bool = False
    ) -> None:
        """Write a file, whole or not at all. Raises TransferFailed."""
        folder = shlex.quote(posixpath.dirname(path) or ".")
        with self.work_folder() as stage:
            sent = shlex.quote(f"{stage}/file")
            self.connection.send_file(data, sent, name=path)
            steps = [
                "set -e; umask 077",
                f"part=$(mktemp {folder}/.outrider-XXXXXXXX)",
                "trap 'rm -f \"$part\"' EXIT",
                # Shells that a signal ends do not all run the trap above.
                "trap 'exit 1' TERM",
                f'cat {sent} > "$part"',
                f'test "$(wc -c < "$part")" -eq {len(data)}',
                f'chmod {shlex.quote(mode)} "$part"',
                *([f'chown {shlex.quote(owner)} "$part"'] if owner else []),
                f'mv -f "$part" {shlex.quote(path)}',
            ]
            self._must("\n".join(steps), what=f"write {path}", sudo=sudo)

    def lay_programs(self, folder: str, programs: Mapping[str, str]) -> None:
        """Write small text files, by their paths below a folder of the login user's own, as programs; all at once."""
        steps = []
        for name, text in programs.items():
            place = shlex.quote(f"{folder}/{name}")
            steps += [
                f"mkdir -p {shlex.quote(posixpath.dirname(f'{folder}/{name}'))}",
                f"printf %s {shlex.quote(text)} > {place}",
                f"chmod 755 {place}",
            ]
        self._must(" &&\n".join(steps), what=f"write to {folder}")

    def put_file(self, file: Path, path: str) -> None:
        """Write a copy of a local file into a folder of the login user's own, with its permissions."""
        mode = file.stat().st_mode & 0o777
        self.connection.send_file(file.read_bytes(), shlex.quote(path), name=path)
        self._must(f"chmod {mode:o} {shlex.quote(path)}", what=f"write {path}")

    def get(self, path: str, *, max_bytes: int, sudo: bool = False) -> bytes:
        """Return a file's content. Raises TransferFailed, NonRecoverableError if it has more bytes than allowed."""
        quoted = shlex.quote(path)
        size = self._must(f"test -f {quoted} && wc -c < {quoted}", what=f"read {path}", sudo=sudo).strip()
        if int(size) > max_bytes:
            raise NonRecoverableError(f"{path} on {self.target.host} has {size} bytes, more than {max_bytes}")
        # Encoded: output is text, and files are not.
        with self._start(f"base64 < {quoted}", name=f"read {path}", sudo=sudo) as running:
            answer = running.finish()
        if answer.code != 0:
            raise TransferFailed(f"cannot read {path} on {self.target.host}: {answer.stderr.strip()[-300:]}")
        return base64.b64decode(answer.stdout)

    def _must(self, program: str, *, what: str, sudo: bool = False) -> str:
        """Run a program of our own and return what it printed. Raises TransferFailed if it fails."""
        result = self.run(program, name=what, sudo=sudo)
        if result.code != 0:
            raise self._failed(what, result)
        return result.stdout

    def _failed(self, what: str, result: Union[Result, CommandAnswer]) -> TransferFailed:
        said = (result.stderr or result.stdout).strip() or f"exit code {result.code}"
        return TransferFailed(f"cannot {what} on {self.target.host}: {said[-300:]}")

    @contextmanager
    def _start(
        self,
        text: str,
        *,
        name: str,
        sudo: bool,
        timeout_seconds: Optional[float] = None,
        folder: Optional[str] = None,
    ) -> Iterator[Running]:
        data = text.encode()
        abandoned = "" if folder is None else f"rm -rf {shlex.quote(folder)}; "
        command = _LAUNCHER.format(ready=_READY, size=len(data), abandoned=abandoned)
        if sudo and self.target.user != "root":
            command = with_sudo(_BY_SUDO + shlex.quote(command))
        with self.connection.open(command, name=name, timeout_seconds=timeout_seconds) as running:
            answer_prompt(running, self.target, ready=_READY)
            running.send(data)
            yield running


@contextmanager
def open_host(ctx: Any, environment: FabricEnvironment) -> Iterator[RemoteHost]:
    """Log in to the host of an operation; errors of SSH inside the block become those of the SDK."""
    if environment.unknown:
        ctx.logger.warning("fabric_env has keys that mean nothing here: %s", ", ".join(environment.unknown))
    try:
        with connect(remembering(environment.target, ctx.work_dir)) as connection:
            note(instance_of(ctx), ctx.work_dir)
            yield RemoteHost(connection, environment, ctx.logger)
    except SshError as error:
        # A host that has just booted refuses a key which its first-boot script has not laid yet.
        settling = isinstance(error, LoginRefused) and ctx.operation.retry_number < _SETTLING_TRIES
        if settling or isinstance(error, _PASSING):
            raise RecoverableError(str(error)) from error
        raise NonRecoverableError(str(error)) from error


def _exports(variables: Mapping[str, Any]) -> str:
    return "".join(f"export {name}={shlex.quote(as_text(value))}\n" for name, value in variables.items())
