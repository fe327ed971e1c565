"""The input `fabric_env`: which host, as whom, by which way. Its keys are those of the ecosystem's fabric plugin.

What the input does not say comes from the plugin's property `fabric_env`, then from the instance: the address of its
host, and the user and key that the deployment's agents are installed with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from outrider.plugins.sdk import NonRecoverableError
from outrider.plugins.ssh.access.errors import AddressInvalid
from outrider.plugins.ssh.access.hostkeys import entry_name
from outrider.plugins.ssh.access.target import HostKeys, Limits, SshTarget, parse_target
from outrider.plugins.ssh.trust import NOTED_HOST_KEYS

#: A command may take this long if nothing else is said.
COMMAND_SECONDS = 3600.0
KNOWN = frozenset(
    {
        *("host", "host_string", "user", "port", "key", "key_filename", "passphrase", "password", "gateway"),
        *("connect_timeout", "command_timeout", "sudo_password", "shell_env", "connect_kwargs"),
        *("host_key", "known_hosts", "accept_new_host_key"),
    }
)
#: What a gateway does not take from the host behind it.
_ADDRESS = frozenset({"gateway", "host", "host_string", "host_key", "port"})
_CREDENTIALS = frozenset({"key", "key_filename", "password", "passphrase"})
#: Of an SSH library's own arguments, those that say something which is not said otherwise.
_CONNECT_KNOWN = frozenset({"key_filename", "password", "passphrase", "timeout", "pkey"})


@dataclass(frozen=True)
class FabricEnvironment:
    """The settings of an operation, checked."""

    target: SshTarget
    #: Environment variables of every command.
    shell_env: Mapping[str, Any] = field(default_factory=dict)
    #: Keys of the input that mean nothing here.
    unknown: tuple[str, ...] = ()


def read_environment(ctx: Any, given: Optional[Mapping[str, Any]]) -> FabricEnvironment:
    """Return the settings for an operation. Raises NonRecoverableError that names the key which is wrong."""
    if not isinstance(given or {}, Mapping):
        raise NonRecoverableError(f"the input fabric_env is a mapping, not {type(given).__name__}")
    settings = {**_of_plugin(ctx), **_without_none(given or {})}
    instance = instance_of(ctx)
    if not settings.get("host") and not settings.get("host_string"):
        settings["host"] = _host_ip(instance)
    agent = _agent_settings(ctx)
    if not settings.get("user") and agent.get("user"):
        settings["user"] = agent["user"]
    if not _has_credentials(settings) and agent.get("agent_key_path"):
        settings["key_filename"] = agent["agent_key_path"]
    noted = {} if instance is None else instance.runtime_properties.get(NOTED_HOST_KEYS) or {}
    target = _target(settings, noted)
    shell_env = settings.get("shell_env") or {}
    if not isinstance(shell_env, Mapping):
        raise NonRecoverableError("fabric_env.shell_env is a mapping of environment variables")
    return FabricEnvironment(target, shell_env, tuple(sorted(set(settings) - KNOWN)))


def _target(settings: Mapping[str, Any], noted: Mapping[str, str]) -> SshTarget:
    settings = _with_connect_kwargs(settings)
    where = str(settings.get("host_string") or settings.get("host"))
    key = settings.get("key")
    files = settings.get("key_filename")
    named = files[0] if isinstance(files, (list, tuple)) and files else files
    defaults = SshTarget(
        "",
        user=str(settings.get("user") or ""),
        port=_number(settings, "port", 22, int),
        key_text=str(key) if key else None,
        key_file=Path(str(named)) if named and not key else None,
        passphrase=settings.get("passphrase"),
        password=settings.get("password"),
        sudo_password=settings.get("sudo_password"),
        limits=Limits(
            connect=_number(settings, "connect_timeout", Limits.connect, float),
            command=_number(settings, "command_timeout", COMMAND_SECONDS, float),
        ),
    )
    try:
        target = parse_target(where, defaults)
    except AddressInvalid as error:
        raise NonRecoverableError(f"fabric_env.host: {error}") from error
    if not target.user:
        raise NonRecoverableError(f"fabric_env.user has to name the user to log in to {target.host} as")
    pinned = settings.get("host_key") or noted.get(entry_name(target.host, target.port))
    return replace(target, host_keys=_host_keys(settings, pinned), jumps=_jumps(settings, target, noted))


def _jumps(settings: Mapping[str, Any], target: SshTarget, noted: Mapping[str, str]) -> tuple[SshTarget, ...]:
    """Return the hosts to go through: a text takes the target's user and keys, a mapping says what differs."""
    gateway = settings.get("gateway")
    if not gateway:
        return ()
    where = dict(gateway) if isinstance(gateway, Mapping) else {"host_string": str(gateway)}
    its_own = _ADDRESS | (_CREDENTIALS if _has_credentials(where) else frozenset())
    own = {key: value for key, value in settings.items() if key not in its_own}
    jump = _target({"user": target.user, **own, **where}, noted)
    return (*jump.jumps, replace(jump, jumps=()))


def _host_keys(settings: Mapping[str, Any], pinned: Optional[str]) -> HostKeys:
    if pinned:
        return HostKeys(fingerprint=str(pinned))
    files = settings.get("known_hosts") or ()
    named = [files] if isinstance(files, str) else files
    accept = settings.get("accept_new_host_key")
    if accept not in (None, True, False):
        raise NonRecoverableError("fabric_env.accept_new_host_key is true or false")
    return HostKeys(known_hosts=tuple(Path(str(file)) for file in named), accept_new=bool(accept))


def _with_connect_kwargs(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those in `connect_kwargs` that say something about keys and passwords."""
    more = settings.get("connect_kwargs") or {}
    if not isinstance(more, Mapping):
        raise NonRecoverableError("fabric_env.connect_kwargs is a mapping")
    unknown = sorted(set(more) - _CONNECT_KNOWN)
    if unknown:
        raise NonRecoverableError(
            f"fabric_env.connect_kwargs.{unknown[0]} is not supported; known are {', '.join(sorted(_CONNECT_KNOWN))}"
        )
    own_names = {"timeout": "connect_timeout", "pkey": "key"}
    renamed = {own_names.get(str(key), str(key)): value for key, value in more.items()}
    return {**renamed, **settings}


def _has_credentials(settings: Mapping[str, Any]) -> bool:
    named = {**settings, **(settings.get("connect_kwargs") or {})}
    return any(named.get(key) for key in ("key", "key_filename", "password", "pkey"))


def _of_plugin(ctx: Any) -> dict[str, Any]:
    declared = (getattr(ctx.plugin, "properties", None) or {}).get("fabric_env") or {}
    return _without_none(declared.get("value") or declared.get("default") or {})


def instance_of(ctx: Any) -> Any:
    """Return the instance whose host is meant: the operation's own, or the side of a relationship that executes."""
    if ctx.type == "node-instance":
        return ctx.instance
    if ctx.type == "relationship-instance":
        return ctx.target.instance if ctx.operation.relationship == "target" else ctx.source.instance
    return None


def _host_ip(instance: Any) -> str:
    if instance is None:
        raise NonRecoverableError("fabric_env.host has to name a host: this operation belongs to no instance")
    try:
        return str(instance.host_ip)
    except NonRecoverableError as error:
        raise NonRecoverableError(f"fabric_env.host is not given, and {error}") from error


def _agent_settings(ctx: Any) -> Mapping[str, Any]:
    """Return what the deployment says about installing agents: ``user`` and ``agent_key_path``."""
    bootstrap = (getattr(ctx, "extras", None) or {}).get("bootstrap_context") or {}
    return bootstrap.get("cloudify_agent") or {}


def _number(settings: Mapping[str, Any], name: str, default: Any, kind: type) -> Any:
    value = settings.get(name)
    if value is None:
        return default
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise NonRecoverableError(f"fabric_env.{name} is a number, not {value!r}") from None


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}
