"""The `process` input of a script operation, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Optional

from outrider.plugins.script.errors import ScriptSettingsError

PROXY_TYPES = ("auto", "http", "none")


@dataclass(frozen=True)
class ProcessSettings:
    """How a script is run."""

    #: Further environment variables; they win over the operation's inputs.
    env: Mapping[str, Any] = field(default_factory=dict)
    #: Arguments, appended to the command line as the shell reads it.
    args: tuple[str, ...] = ()
    cwd: Optional[str] = None
    #: Put before the script's path: ``sudo -E``, ``python3 -u`` …
    command_prefix: Optional[str] = None
    #: True: run as Python inside the operation's process. False: always a process of its own. None: by the name.
    eval_python: Optional[bool] = None
    ctx_proxy_type: str = "auto"
    log_stdout: bool = True
    log_stderr: bool = True
    stderr_to_stdout: bool = False

    @classmethod
    def parse(cls, value: Optional[Mapping[str, Any]]) -> tuple[ProcessSettings, list[str]]:
        """Return the settings and the names that they do not know. Raises `ScriptSettingsError`."""
        if not value:
            return _DEFAULT, []
        if not isinstance(value, Mapping):
            raise ScriptSettingsError(f"the input 'process' is a mapping, not {value!r}")
        known = {field.name for field in fields(cls)}
        given = {name: setting for name, setting in value.items() if name in known and setting is not None}
        unknown = sorted(set(value) - known)
        if not isinstance(given.get("env", {}), Mapping):
            raise ScriptSettingsError(f"process.env is a mapping of variables, not {given['env']!r}")
        arguments = given.get("args", ())
        if isinstance(arguments, str) or not hasattr(arguments, "__iter__"):
            raise ScriptSettingsError(f"process.args is a list of arguments, not {arguments!r}")
        given["args"] = tuple(str(argument) for argument in arguments)
        if given.get("ctx_proxy_type", "auto") not in PROXY_TYPES:
            raise ScriptSettingsError(
                f"process.ctx_proxy_type is one of {', '.join(PROXY_TYPES)}, not {given['ctx_proxy_type']!r}"
            )
        return cls(**given), unknown


_DEFAULT = ProcessSettings()
