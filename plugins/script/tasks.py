"""The operation that runs a script; the built-in plugin `script`.

Blueprints reach it as ``script.script_runner.tasks.run`` or by giving a script's path or text as an operation's
implementation.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.script.environment import as_text, script_environment
from outrider.plugins.script.errors import ProcessException, ScriptException, ScriptSettingsError
from outrider.plugins.script.evaluate import evaluate_script
from outrider.plugins.script.outcome import ScriptOutcome
from outrider.plugins.script.process import Finished, run_process
from outrider.plugins.script.proxy import ContextServer
from outrider.plugins.script.settings import ProcessSettings
from outrider.plugins.script.source import local_script

#: Nearly every script prints something.
OUTRIDER_IMPORTS_AHEAD = ("outrider.plugins.sdk.logs",)

#: What is a script only in name: programs that read it are put before it.
_PREFIXES = {".ps1": "powershell"}


def run(
    ctx: Any,
    script_path: Optional[str] = None,
    script_source: Optional[str] = None,
    process: Optional[Mapping[str, Any]] = None,
    ssl_cert_content: Optional[str] = None,
    **inputs: Any,
) -> Any:
    """Run a script and return what it gave to ``ctx returns``.

    A ``.py`` script runs in this process (unless ``process.eval_python`` is false), any other as a process of its own
    with the inputs as environment variables and the `ctx` command on its PATH.

    Raises `ProcessException` (recoverable) if it ends with an error, `NonRecoverableError` if it called
    ``ctx abort_operation``, `OperationRetry` if it called ``ctx retry_operation``.
    """
    settings, unknown = ProcessSettings.parse(process)
    if unknown:
        ctx.logger.warning("the input 'process' has settings that are not known: %s", ", ".join(unknown))
    script = local_script(ctx, script_path=script_path, script_source=script_source, ssl_cert_content=ssl_cert_content)
    return run_file(ctx, script, settings=settings, inputs=inputs)


def run_file(ctx: Any, script: Path, *, settings: ProcessSettings, inputs: Mapping[str, Any]) -> Any:
    """Run a local script file; see `run`."""
    outcome = ScriptOutcome()
    outcome.attach(ctx)
    if _in_process(script, settings):
        evaluate_script(script, ctx=ctx, inputs=inputs)
        return outcome.conclude()
    command = command_line(script, settings)
    program = str(script) if command == shlex.quote(str(script)) else None
    finished = _run_external(ctx, command, program, settings=settings, inputs=inputs, outcome=outcome)
    if finished.exit_code != 0 and not outcome.stopped:
        raise ProcessException(command, finished.exit_code, finished.stdout, finished.stderr)
    return outcome.conclude()


def command_line(script: Path, settings: ProcessSettings) -> str:
    """Return the shell command that runs a script file."""
    prefix = settings.command_prefix or _PREFIXES.get(script.suffix, "")
    return " ".join([*([prefix] if prefix else []), shlex.quote(str(script)), *settings.args])


def _in_process(script: Path, settings: ProcessSettings) -> bool:
    return script.suffix == ".py" if settings.eval_python is None else settings.eval_python


def _run_external(
    ctx: Any,
    command: str,
    program: Optional[str],
    *,
    settings: ProcessSettings,
    inputs: Mapping[str, Any],
    outcome: ScriptOutcome,
) -> Finished:
    server = None if settings.ctx_proxy_type == "none" else ContextServer(ctx, stop_errors=(ScriptException,))
    try:
        environment = script_environment(
            inputs=inputs,
            extra=settings.env,
            ctx_url=None if server is None else server.url,
            work_dir=getattr(ctx, "work_dir", None),
        )
        return run_process(
            command,
            program=program,
            environment=environment,
            cwd=settings.cwd,
            # The logger is made at the first line: many scripts print nothing.
            log_stdout=(lambda line: ctx.logger.info("<out> %s", line)) if settings.log_stdout else None,
            log_stderr=(lambda line: ctx.logger.error("<err> %s", line)) if settings.log_stderr else None,
            stderr_to_stdout=settings.stderr_to_stdout,
            stopped=lambda: outcome.stopped,
            on_demand=server,
        )
    except (OSError, ValueError) as error:
        raise ScriptSettingsError(_not_started(command, error, settings=settings, inputs=inputs)) from error
    finally:
        if server is not None:
            server.close()


def _not_started(command: str, error: Exception, *, settings: ProcessSettings, inputs: Mapping[str, Any]) -> str:
    """Say why a process could not be started; inputs that are too large for an environment are the usual reason."""
    sizes = {name: len(as_text(value)) for name, value in {**inputs, **settings.env}.items()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:3]
    named = ", ".join(f"{name} ({sizes[name]} characters)" for name in largest) or "none"
    where = f" in {settings.cwd}" if settings.cwd else ""
    return f"cannot start {command!r}{where}: {error}; its largest inputs are: {named}"
