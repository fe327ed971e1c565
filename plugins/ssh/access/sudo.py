"""Commands as another user by sudo. The password goes through standard input, never through a command line."""

from __future__ import annotations

import shlex
from typing import Optional

from outrider.plugins.ssh.access.errors import (
    CommandNotStarted,
    SshError,
    SudoMissing,
    SudoPasswordNeeded,
    SudoPasswordWrong,
)
from outrider.plugins.ssh.access.running import Running
from outrider.plugins.ssh.access.target import SshTarget

#: What sudo is told to print when it wants the password: nothing else prints this.
PROMPT = "outrider-sudo-password:"


def with_sudo(command: str, *, user: str = "root") -> str:
    """Return the command to be run by sudo; `answer_prompt` has to follow."""
    # -k: a remembered password would leave ours in the program's input; -H: the user's home, not the login user's.
    return f"sudo -k -S -H -p {shlex.quote(PROMPT)} -u {shlex.quote(user)} -- {command}"


def password_of(target: SshTarget) -> Optional[str]:
    """Return the password for sudo: its own, else the login's."""
    return target.sudo_password if target.sudo_password is not None else target.password


def answer_prompt(running: Running, target: SshTarget, *, ready: str) -> None:
    """Bring a command to where it prints `ready` to its standard error: give sudo the password, once.

    Raises SudoError, or why the command ended before.
    """
    given = False
    while True:
        marker = running.wait_for_stderr(PROMPT, ready)
        if marker == ready:
            return
        if marker != PROMPT:
            raise _not_started(running, target)
        password = password_of(target)
        if given:
            raise SudoPasswordWrong(f"sudo on {target.host} does not take the password of {target.user}")
        if password is None:
            raise SudoPasswordNeeded(f"sudo on {target.host} asks {target.user} for a password")
        running.send(password.encode() + b"\n")
        given = True


def _not_started(running: Running, target: SshTarget) -> SshError:
    """Say why a command ended before it was ready."""
    try:
        answer = running.finish()
    except SshError as error:
        return error
    said = (answer.stderr or answer.stdout).strip()
    if "incorrect password" in said:
        return SudoPasswordWrong(f"sudo on {target.host} does not take the password of {target.user}")
    if "a terminal is required" in said or "must have a tty" in said:
        remedy = f"remove `requiretty` for {target.user} from the host's sudoers"
        return SudoMissing(f"sudo on {target.host} wants a terminal: {said[-200:]}", remedy=remedy)
    if "sudo" in said and answer.code != 0:
        return SudoMissing(f"{target.user} may not use sudo on {target.host}: {said.splitlines()[-1]}")
    return CommandNotStarted(f"a command on {target.host} ended at once with {answer.code}: {said[-300:]}")
