"""The compatible facade: lets plugins written for Cloudify's interface run unmodified.

`site` holds packages with the ecosystem's names (`cloudify`, `cloudify_rest_client`, `script_runner` …) on Outrider's
SDK, and metadata that answers to `cloudify-common` and `fusion-common`. The agent copies it to its ``sdk/<hash>/`` and
puts that on an operation's path, before the plugin's own environment; nothing of it is ever installed.
"""

from __future__ import annotations

from pathlib import Path

#: Packages of ours, as folders below ``outrider/plugins/``, that the facade stands on.
STANDS_ON = ("sdk", "script")


def site_path() -> Path:
    """Return the folder that goes on an operation's path."""
    return Path(__file__).resolve().parent / "site"


def site_entries() -> list[Path]:
    """Return what to copy from there: packages and distribution metadata."""
    return sorted(entry for entry in site_path().iterdir() if entry.name != "__pycache__")
