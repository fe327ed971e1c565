"""``python -m outrider.installer.bundle FILE``: make the bundle for every Python of the agent's range."""

from __future__ import annotations

import sys
from pathlib import Path

from outrider.installer.bundle import build_bundle
from outrider.installer.errors import InstallerError


def main(arguments: list[str]) -> int:
    """Make the bundle; the error goes to stderr."""
    try:
        build_bundle(Path(arguments[0]))
    except InstallerError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the caller
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
