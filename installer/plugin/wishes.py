"""What a blueprint says about a host's agent: ``agent_config``, read into the installer's own values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from outrider.installer import HostKeys, InstallerError, SshTarget, Sudo, parse_target
from outrider.installer.configuration import Value

Json = Mapping[str, Any]

REMOTE, INIT_SCRIPT, PLUGIN, PROVIDED, NONE = "remote", "init_script", "plugin", "provided", "none"
METHODS = (REMOTE, INIT_SCRIPT, PLUGIN, PROVIDED, NONE)
#: A machine boots in less; a slower one is waited for by the next try.
SSH_SECONDS = 45.0
#: Field of the blueprint → the agent's setting.
_NUMBERS = {"max_workers": "slots", "min_workers": "waiting_children", "heartbeat": "heartbeat_seconds"}
#: What the ecosystem's words for a service are here; None: the best that the host has.
_SERVICES = {"systemd": "systemd", "detach": "detached", "detached": "detached", "init.d": None, "initd": None}
#: Where plugins of the ecosystem look for a folder for what they execute.
_TEMPORARY = "CFY_EXEC_TEMP"


class WishInvalid(InstallerError):
    """The blueprint's agent_config cannot be followed."""


@dataclass(frozen=True)
class Wish:
    """How the agent of one host is to be."""

    method: str
    #: The host's address, if it is known.
    ip: Optional[str] = None
    #: All fields, the overriding ones already in place.
    config: Json = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> dict[str, Value]:
        """The agent's settings that the blueprint names. Raises `WishInvalid`."""
        found: dict[str, Value] = {ours: self._number(name) for name, ours in _NUMBERS.items() if self.config.get(name)}
        if self.config.get("log_level"):
            found["log_level"] = str(self.config["log_level"]).lower()
        if variables := self._variables():
            found["environment"] = [f"{name}={value}" for name, value in sorted(variables.items())]
        return found

    @property
    def ssh_seconds(self) -> float:
        """How long one try of the installation waits for the host to answer SSH."""
        return float(self.config.get("wait_for_ssh") or SSH_SECONDS)

    @property
    def service(self) -> Optional[str]:
        """How the agent is kept running; None: the best that the host has."""
        wanted = self.config.get("process_management") or {}
        name = wanted.get("name") if isinstance(wanted, Mapping) else wanted
        if name and name not in _SERVICES:
            raise WishInvalid(
                f"process_management {name!r} is not known", remedy=f"choose of {', '.join(_SERVICES)}, or leave it out"
            )
        return _SERVICES[name] if name else None

    def _number(self, name: str) -> Union[int, float]:
        value = self.config[name]
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = 0.0
        if isinstance(value, bool) or number <= 0:
            raise WishInvalid(f"{name}: {value!r} is no number above 0", remedy="give one, or leave it out")
        return number if name == "heartbeat" else int(number)

    def _variables(self) -> dict[str, str]:
        """Return what the agent, and all that it starts, finds in its environment."""
        found: dict[str, str] = {}
        given = self.config.get("env") or {}
        if not isinstance(given, Mapping):
            raise WishInvalid(f"env: {given!r} is no mapping", remedy="write env: {NAME: value}")
        for name, value in given.items():
            if not isinstance(value, (str, int, float)):
                raise WishInvalid(
                    f"env: the value of {name} is neither a text nor a number",
                    remedy="write it as a text; a host that brings its agent itself cannot be given secrets this way",
                )
            found[str(name)] = str(value).lower() if isinstance(value, bool) else str(value)
        if self.config.get("executable_temp_path"):
            found.setdefault(_TEMPORARY, str(self.config["executable_temp_path"]))
        return found

    def target(self, *, known_hosts: tuple[Path, ...], pinned: Optional[str], accept_new: bool) -> SshTarget:
        """Return the way into the host by SSH.

        `pinned`: the fingerprint that the host showed when it was trusted first; one of the blueprint's wins.
        """
        if not self.ip:
            raise WishInvalid(
                "the host has no address: neither a runtime property `ip` nor a node property `ip`",
                remedy="set `ip` in the blueprint, or have the operation that creates the host set it",
            )
        config = self.config
        keys = HostKeys(
            known_hosts=known_hosts,
            fingerprint=config.get("host_key") or pinned,
            accept_new=bool(config.get("accept_new_host_key", accept_new)),
        )
        key_text, key_file = _key(config.get("key"))
        base = SshTarget(
            host=self.ip,
            user=str(config.get("user") or "root"),
            port=int(config.get("port") or 22),
            key_text=key_text,
            key_file=key_file,
            passphrase=config.get("key_passphrase"),
            password=config.get("password"),
            # What the person at the dispatcher happens to hold is not part of a deployment.
            use_agent=False,
            sudo=_sudo(config.get("sudo")),
            sudo_password=config.get("sudo_password"),
            host_keys=keys,
            python=config.get("python"),
        )
        jumps = config.get("jump") or ()
        texts = [jumps] if isinstance(jumps, str) else list(jumps)
        # A jump host is another machine: the fingerprint is not its own.
        between = SshTarget(**{**base.__dict__, "port": 22, "host_keys": HostKeys(known_hosts, None, keys.accept_new)})
        return SshTarget(**{**base.__dict__, "jumps": tuple(parse_target(str(text), between) for text in texts)})


def read_wish(
    properties: Json, runtime_properties: Json, given: Optional[Json] = None, *, ip: Optional[str] = None
) -> Wish:
    """Return the wish of a host; the operation's inputs win over runtime properties, and these over the node's."""
    config: dict[str, Any] = {}
    for source in (properties.get("cloudify_agent"), properties.get("agent_config"),
                   runtime_properties.get("agent_config"), given):  # fmt: skip
        if isinstance(source, Mapping):
            extra = source.get("extra")
            config.update({key: value for key, value in source.items() if key != "extra"})
            config.update(extra if isinstance(extra, Mapping) else {})
    old = properties.get("install_agent")
    method = (REMOTE if old else NONE) if isinstance(old, bool) else str(config.get("install_method") or REMOTE)
    if method not in METHODS:
        raise WishInvalid(f"install_method {method!r} is not known", remedy=f"choose of {', '.join(METHODS)}")
    address = runtime_properties.get("ip") or ip or properties.get("ip")
    return Wish(method, str(address) if address else None, config)


def _key(value: Any) -> tuple[Optional[str], Optional[Path]]:
    """A private key is given as its text (from a secret), or as a path on the central agent's machine."""
    if not value:
        return None, None
    text = str(value)
    return (text, None) if "-----BEGIN" in text else (None, Path(text).expanduser())


def _sudo(value: Any) -> Sudo:
    if value is None:
        return Sudo.AUTO
    if isinstance(value, bool):
        return Sudo.ALWAYS if value else Sudo.NEVER
    try:
        return Sudo(str(value))
    except ValueError as error:
        names = ", ".join(each.value for each in Sudo)
        raise WishInvalid(f"sudo: {value!r} is not known", remedy=f"choose of {names}") from error
