"""What a task function gets: a connection with the methods that task files of the ecosystem use (`run`, `sudo` …)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.ssh.output import Shown, shown
from outrider.plugins.ssh.remote import RemoteHost

_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    command: str
    stdout: str
    stderr: str
    return_code: int

    @property
    def exited(self) -> int:
        """The exit code."""
        return self.return_code

    @property
    def ok(self) -> bool:
        """Whether the exit code was 0."""
        return self.return_code == 0

    @property
    def failed(self) -> bool:
        """Whether it was not."""
        return not self.ok

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.stdout


class RemoteShell:
    """A host for a task function."""

    def __init__(self, host: RemoteHost, *, shown: Shown, final_codes: Sequence[int]) -> None:
        self._host = host
        self._shown = shown
        self._final_codes = final_codes
        self.host = host.target.host
        self.user = host.target.user
        self.port = host.target.port

    def run(self, command: str, **options: Any) -> Answer:
        """Run a shell command. Raises `ProcessException` if it fails, unless `warn` is true.

        Options are `warn`, `hide`, `env`, `timeout`; what else task files say to their library means nothing here.
        """
        return self._run(command, sudo=False, **options)

    def sudo(self, command: str, **options: Any) -> Answer:
        """Run a shell command as root; like `run`."""
        return self._run(command, sudo=True, **options)

    def put(self, local: Any, remote: Optional[str] = None, **_: Any) -> str:
        """Copy a local file (a path, or a file that is open) to the host; return its path there."""
        if hasattr(local, "read"):
            content = local.read()
            data = content if isinstance(content, bytes) else str(content).encode()
            name = posixpath.basename(str(getattr(local, "name", "file")))
        else:
            data, name = Path(str(local)).read_bytes(), Path(str(local)).name
        target = remote or name
        if target.endswith("/"):
            target += name
        self._host.put(data, target, mode="0644")
        return target

    def get(self, remote: str, local: Optional[str] = None, **_: Any) -> str:
        """Copy a file of the host to a local path; return that path."""
        place = Path(local or posixpath.basename(remote))
        place.write_bytes(self._host.get(remote, max_bytes=_MOST_BYTES))
        return str(place)

    def _run(
        self,
        command: str,
        *,
        sudo: bool,
        warn: bool = False,
        hide: Any = None,
        env: Optional[Mapping[str, Any]] = None,
        timeout: Optional[float] = None,
        **_: Any,
    ) -> Answer:
        result = self._host.run(
            command, name=command, sudo=sudo, env=env, shown=self._shown & shown(hide), timeout_seconds=timeout
        )
        if not warn:
            result.require_success(command, final_codes=self._final_codes)
        return Answer(command, result.stdout, result.stderr, result.code)
