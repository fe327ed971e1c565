"""The operations: commands, scripts, files and task functions on a host that has no agent.

Blueprints that were written for the ecosystem's fabric plugin reach them as ``fabric.fabric_plugin.tasks.…``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.sdk import NonRecoverableError, operation
from outrider.plugins.ssh.output import shown
from outrider.plugins.ssh.remote import open_host
from outrider.plugins.ssh.scripts import run_remote_script
from outrider.plugins.ssh.settings import read_environment
from outrider.plugins.ssh.shell import RemoteShell
from outrider.plugins.ssh.taskfiles import function_of_file, function_of_module

#: A file that `get_file` returns travels in a message.
MOST_BYTES = 1024 * 1024


@operation
def run_commands(
    ctx: Any,
    *,
    commands: Sequence[str],
    fabric_env: Optional[Mapping[str, Any]] = None,
    use_sudo: bool = False,
    hide_output: Any = None,
    non_recoverable_error_exit_codes: Sequence[int] = (),
    **_: Any,
) -> list[str]:
    """Run shell commands, one after the other, on one connection; return what each printed.

    Raises `ProcessException` (recoverable) at the first that ends with another code than 0, `NonRecoverableError` if
    its code is in `non_recoverable_error_exit_codes`.
    """
    if isinstance(commands, str):
        raise NonRecoverableError("the input commands is a list of commands, not one text")
    printed = []
    with open_host(ctx, read_environment(ctx, fabric_env)) as host:
        for command in commands:
            ctx.logger.info("on %s: %s", host.target, command)
            result = host.run(command, name=command, sudo=use_sudo, shown=shown(hide_output))
            result.require_success(command, final_codes=non_recoverable_error_exit_codes)
            printed.append(result.stdout)
    return printed


@operation
def run_script(  # noqa: PLR0913 - the ecosystem's inputs
    ctx: Any,
    *,
    script_path: Optional[str] = None,
    script_source: Optional[str] = None,
    fabric_env: Optional[Mapping[str, Any]] = None,
    process: Optional[Mapping[str, Any]] = None,
    use_sudo: bool = False,
    hide_output: Any = None,
    non_recoverable_error_exit_codes: Sequence[int] = (),
    ssl_cert_content: Optional[str] = None,
    **inputs: Any,
) -> Any:
    """Run a script of the blueprint on the host, where it has the `ctx` command; return what it gave to `ctx returns`.

    Further inputs are environment variables of the script. Raises like `run_commands`, and what the script asked for
    with ``ctx abort_operation`` and ``ctx retry_operation``.
    """
    return run_remote_script(
        ctx,
        read_environment(ctx, fabric_env),
        source={"script_path": script_path, "script_source": script_source, "ssl_cert_content": ssl_cert_content},
        process=process,
        sudo=use_sudo,
        shown=shown(hide_output),
        final_codes=non_recoverable_error_exit_codes,
        inputs=inputs,
    )


@operation
def run_task(
    ctx: Any,
    *,
    tasks_file: str,
    task_name: str,
    fabric_env: Optional[Mapping[str, Any]] = None,
    task_properties: Optional[Mapping[str, Any]] = None,
    hide_output: Any = None,
    non_recoverable_error_exit_codes: Sequence[int] = (),
    **_: Any,
) -> Any:
    """Call a function of a Python file of the blueprint, here, with a connection to the host as its first argument.

    See `RemoteShell` for what it can do with the connection.
    """
    environment = read_environment(ctx, fabric_env)
    function = function_of_file(Path(ctx.download_resource(tasks_file)), task_name)
    with open_host(ctx, environment) as host:
        shell = RemoteShell(host, shown=shown(hide_output), final_codes=non_recoverable_error_exit_codes)
        return function(shell, **(task_properties or {}))


@operation
def run_module_task(
    ctx: Any,
    *,
    task_mapping: str,
    fabric_env: Optional[Mapping[str, Any]] = None,
    task_properties: Optional[Mapping[str, Any]] = None,
    hide_output: Any = None,
    non_recoverable_error_exit_codes: Sequence[int] = (),
    **_: Any,
) -> Any:
    """Call a function of an installed module (``package.module.function``); see `run_task`."""
    environment = read_environment(ctx, fabric_env)
    function = function_of_module(task_mapping)
    with open_host(ctx, environment) as host:
        shell = RemoteShell(host, shown=shown(hide_output), final_codes=non_recoverable_error_exit_codes)
        return function(shell, **(task_properties or {}))


@operation(resumable=True)
def put_file(  # noqa: PLR0913 - inputs of an operation
    ctx: Any,
    *,
    target_path: str,
    resource_path: Optional[str] = None,
    content: Optional[str] = None,
    fabric_env: Optional[Mapping[str, Any]] = None,
    use_sudo: bool = False,
    mode: str = "0644",
    owner: Optional[str] = None,
    template_variables: Optional[Mapping[str, Any]] = None,
    **_: Any,
) -> None:
    """Write a file on the host, whole or not at all: a text, or a resource of the blueprint.

    With `template_variables`, also empty ones, the resource is a template that is rendered.
    """
    if (resource_path is None) == (content is None):
        raise NonRecoverableError("put_file needs exactly one of the inputs resource_path and content")
    if resource_path is None:
        data = str(content).encode()
    elif template_variables is not None:
        data = ctx.get_resource_and_render(resource_path, template_variables)
    else:
        data = ctx.get_resource(resource_path)
    with open_host(ctx, read_environment(ctx, fabric_env)) as host:
        host.put(data, target_path, mode=_mode(mode), owner=owner, sudo=use_sudo)
        ctx.logger.info("%s is on %s, %d bytes", target_path, host.target, len(data))


@operation(resumable=True)
def get_file(
    ctx: Any,
    *,
    source_path: str,
    fabric_env: Optional[Mapping[str, Any]] = None,
    use_sudo: bool = False,
    runtime_property: Optional[str] = None,
    max_bytes: int = MOST_BYTES,
    **_: Any,
) -> str:
    """Return the text of a file on the host; note it as a runtime property too, if one is named."""
    with open_host(ctx, read_environment(ctx, fabric_env)) as host:
        data = host.get(source_path, max_bytes=max_bytes, sudo=use_sudo)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NonRecoverableError(f"{source_path} on {host.target.host} is not UTF-8 text: {error}") from error
    if runtime_property:
        ctx.instance.runtime_properties[runtime_property] = text
    return text


def _mode(mode: Any) -> str:
    if not isinstance(mode, str):
        raise NonRecoverableError(f"put_file's mode is a text such as '0644': YAML reads {mode!r} as a plain number")
    return mode
