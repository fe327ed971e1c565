"""The environment variables of a script: the process's own, the inputs, `process.env`, and the `ctx` command."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

CTX_COMMAND = Path(__file__).resolve().parent / "bin" / "ctx.py"
#: Beside it: what bash scripts source to be ended by a `ctx` that fails.
CTX_FUNCTION = CTX_COMMAND.with_name("ctx-sh")
CTX_SOCKET_URL = "CTX_SOCKET_URL"


def script_environment(
    *, inputs: Mapping[str, Any], extra: Mapping[str, Any], ctx_url: Optional[str], work_dir: Optional[str]
) -> dict[str, str]:
    """Return the environment of a script's process; with a `ctx_url`, the `ctx` command is first on its PATH."""
    environment = dict(os.environ)
    environment.setdefault("TMPDIR", tempfile.gettempdir())
    for name, value in {**inputs, **extra}.items():
        environment[str(name)] = as_text(value)
    # Last: programs that the plugin's environment brings are found, and hide none of the host's.
    path = [environment.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    if ctx_url is not None:
        path.insert(0, str(_command_folder(work_dir)))
        environment[CTX_SOCKET_URL] = ctx_url
    environment["PATH"] = os.pathsep.join(path)
    return environment


def as_text(value: Any) -> str:
    """Return an input as scripts get it: JSON for structures and truth values, else its text."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (dict, list, tuple, bool)):
        return json.dumps(value)
    return str(value)


def _command_folder(work_dir: Optional[str]) -> Path:
    """Return a folder that holds the `ctx` command, `ctx-sh`, and nothing else.

    The command is written here, not installed, because it must name this very Python: ``-I`` and ``-S`` keep that one
    from looking at the script's environment and from importing `site`, which is half of an interpreter's start.
    """
    folder = Path(tempfile.mkdtemp(prefix="ctx-", dir=work_dir))
    command = folder / "ctx"
    command.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(CTX_COMMAND))} "$@"\n', encoding="utf-8"
    )
    command.chmod(0o755)
    (folder / CTX_FUNCTION.name).symlink_to(CTX_FUNCTION)
    return folder
