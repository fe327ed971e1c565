"""The language's versions and how a file states one."""

from __future__ import annotations

import re
from typing import Optional

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, value_mark
from outrider.dispatcher.blueprint.problems import Problems, nearest

Version = tuple[int, int]

NEWEST: Version = (1, 5)
#: Above all: nothing is too new for it.
ANY_VERSION: Version = (9, 9)
KNOWN = {f"cloudify_dsl_1_{minor}": (1, minor) for minor in range(NEWEST[1] + 1)}
KEY = "tosca_definitions_version"


def read_version(tree: Map, problems: Problems, *, main: Optional[Version]) -> tuple[Version, str]:
    """Return (version, as written) of a file; of an import when `main` gives the main file's version."""
    raw = tree.get(KEY)
    if raw is None:
        if main is None:
            problems.add(Kind.VERSION_MISSING, f"the main file lacks {KEY}: cloudify_dsl_1_5", at=tree.mark)
        return main or NEWEST, ""
    at = value_mark(tree, KEY)
    version = KNOWN.get(raw) if isinstance(raw, str) and re.fullmatch(r"cloudify_dsl_\d_\d", raw) else None
    if version is None:
        message = f"{raw!r} is not a version of the language; they are {', '.join(KNOWN)}"
        problems.add(Kind.VERSION_UNKNOWN, message, at=at, suggestion=nearest(str(raw), KNOWN))
        return main or NEWEST, str(raw)
    if main is not None and version > main:
        message = f"this import states {raw}, which is newer than the main file's cloudify_dsl_{main[0]}_{main[1]}"
        problems.add(Kind.VERSION_MISMATCH, message, at=at)
    return version, raw


def too_old(what: str, since: Version) -> str:
    """Return the message about a feature that the blueprint's version does not have."""
    return f"{what} is available from version {since[0]}.{since[1]} on: state {KEY}: cloudify_dsl_{since[0]}_{since[1]}"
