"""An installed plugin version, and the marker file that tells a complete environment from anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

MARKER = "outrider-environment.json"
#: Environments with a marker of another format are made again.
_FORMAT = 1


@dataclass(frozen=True)
class Environment:
    """An installed plugin version: a complete virtualenv."""

    name: str
    version: str
    #: Of the wagon that it was made from.
    sha256: str
    path: Path
    #: The environment's interpreter: operations are started with it.
    python: Path
    site_packages: Path
    #: ``3.11``
    python_version: str
    #: The interpreter that the environment was made with, links resolved.
    base_python: str
    created_at: float
    #: Hashes of its wheels in the store.
    wheels: tuple[str, ...] = field(default=(), repr=False)


def encode_marker(environment: Environment) -> bytes:
    """Return the marker's content."""
    facts = {
        "format": _FORMAT,
        "name": environment.name,
        "version": environment.version,
        "sha256": environment.sha256,
        "site_packages": str(environment.site_packages.relative_to(environment.path)),
        "python_version": environment.python_version,
        "base_python": environment.base_python,
        "created_at": environment.created_at,
        "wheels": list(environment.wheels),
    }
    return json.dumps(facts, indent=1).encode("utf-8")


def read_marker(path: Path) -> Optional[Environment]:
    """Return the environment in ``path``, or None when there is none, or one of another format."""
    try:
        facts = json.loads((path / MARKER).read_bytes())
        if facts["format"] != _FORMAT:
            return None
        return Environment(
            name=facts["name"],
            version=facts["version"],
            sha256=facts["sha256"],
            path=path,
            python=path / "bin" / "python",
            site_packages=path / facts["site_packages"],
            python_version=facts["python_version"],
            base_python=facts["base_python"],
            created_at=facts["created_at"],
            wheels=tuple(facts["wheels"]),
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
