"""Managers that the command knows: a file each, readable by its owner only; one of them, or none, is in use.

While one is in use, the commands about plugins, blueprints, deployments, executions, secrets and events speak to it
(`cli.remote`); otherwise they work on the store of this machine. ``OUTRIDER_PROFILE`` chooses for one terminal.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from outrider.cli.home import find_home

VARIABLE = "OUTRIDER_PROFILE"
#: The name that stands for no manager: the store of this machine.
LOCAL = "local"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHOICE = "in-use"


class ProfileError(Exception):
    """A profile that is not there, or cannot be read; the text says what to do."""


@dataclass(frozen=True)
class Profile:
    """One manager, and how to log in there."""

    name: str
    #: ``https://manager.example:8099``.
    url: str
    token: str = field(repr=False)
    tenant: str = "default_tenant"
    #: PEM of the authority that signed its certificate; None: those that the system trusts.
    authority: str | None = field(default=None, repr=False)


def checked_name(name: str) -> str:
    """Return a name that may be a profile's; raises ProfileError."""
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise ProfileError(f"{name!r} cannot be a profile's name: use letters, digits, . _ - (and not {LOCAL!r})")
    return name


def save(profile: Profile) -> None:
    """Write a profile."""
    # Loaded here alone: every start of the command asks which profile is in use.
    from outrider.dispatcher.durable import replace_file

    replace_file(_path(checked_name(profile.name)), json.dumps(asdict(profile), indent=2).encode(), mode=0o600)


def load(name: str) -> Profile:
    """Read a profile; raises ProfileError."""
    try:
        return Profile(**json.loads(_path(name).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ProfileError(f"there is no profile {name!r}; see: outrider profile list") from error
    except (OSError, ValueError, TypeError) as error:
        raise ProfileError(f"{_path(name)} cannot be read ({error}): remove it and add the profile again") from error


def names() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def remove(name: str) -> None:
    """Forget a profile; raises ProfileError."""
    load(name)
    _path(name).unlink()
    if _chosen() == name:
        use(LOCAL)


def use(name: str) -> None:
    """Make a profile, or `LOCAL`, the one in use; raises ProfileError."""
    if name != LOCAL:
        load(name)
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    (_folder() / _CHOICE).write_text(f"{name}\n", encoding="utf-8")


def in_use() -> str:
    """Return the name of the profile in use, or `LOCAL`."""
    return os.environ.get(VARIABLE) or _chosen()


def _chosen() -> str:
    try:
        return (_folder() / _CHOICE).read_text(encoding="utf-8").strip() or LOCAL
    except OSError:
        return LOCAL


def _folder() -> Path:
    return find_home().path / "profiles"


def _path(name: str) -> Path:
    return _folder() / f"{name}.json"
