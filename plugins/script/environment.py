"""The environment variables of a script: the process's own, the inputs, `process.env`, and the `ctx` command."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.script.scratch import new_folder, write_program

CTX_COMMAND = Path(__file__).resolve().parent / "bin" / "ctx.py"
#: Beside it: what bash scripts source to be ended by a `ctx` that fails.
CTX_FUNCTION = CTX_COMMAND.with_name("ctx-sh")
CTX_SOCKET_URL = "CTX_SOCKET_URL"
#: It must name this very Python: ``-I`` and ``-S`` keep that one from looking at the script's environment and from
#: importing `site`, which is half of an interpreter's start.
_CTX_PROGRAM = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(CTX_COMMAND))} "$@"\n'
_PROGRAMS = os.path.dirname(sys.executable)  # noqa: PTH120 - a path as text

# Asked here, where files can be written is found out (by writing one) once, not by the process of every operation.
with suppress(OSError):
    tempfile.gettempdir()


def script_environment(
    *, inputs: Mapping[str, Any], extra: Mapping[str, Any], ctx_url: Optional[str], work_dir: Optional[str]
) -> dict[str, str]:
    """Return the environment of a script's process; with a `ctx_url`, the `ctx` command is first on its PATH."""
    environment = dict(os.environ)
    if "TMPDIR" not in environment:
        environment["TMPDIR"] = tempfile.gettempdir()
    for name, value in {**inputs, **extra}.items():
        environment[str(name)] = as_text(value)
    # Last: programs that the plugin's environment brings are found, and hide none of the host's.
    path = [environment.get("PATH", os.defpath), _PROGRAMS]
    if ctx_url is not None:
        path.insert(0, _command_folder(work_dir))
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


def _command_folder(work_dir: Optional[str]) -> str:
    """Return a folder that holds the `ctx` command, `ctx-sh`, and nothing else."""
    folder = new_folder("ctx", work_dir)
    write_program(f"{folder}/ctx", _CTX_PROGRAM)
    os.symlink(CTX_FUNCTION, f"{folder}/{CTX_FUNCTION.name}")  # noqa: PTH211 - as the others
    return folder
