"""Requirements of plugins that no index can answer, and what is asked for in their place: used by `building`.

Newer plugins require `fusion-common`, which was never published; older ones the distributions that `cloudify-common`
took the place of, whose own pins build on no Python of today. All of them bring the same names, which an agent's
facade provides; `cloudify-common` brings what stands behind these, and what plugins import without requiring it.
"""

from __future__ import annotations

from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement

from .wheelname import normalize

SUCCESSOR = "cloudify-common"
SUCCEEDED = frozenset(
    {
        "fusion-common",
        "cloudify-plugins-common",
        "cloudify-rest-client",
        "cloudify-dsl-parser",
        "cloudify-script-plugin",
    }
)


def with_successors(requires: Iterable[str]) -> tuple[str, ...]:
    """Return the requirements with the successor, in any version, in place of what cannot be had; markers stay."""
    return tuple(dict.fromkeys(_with_successor(text) for text in requires))


def _with_successor(text: str) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text  # pip says what is wrong with it
    if normalize(requirement.name) not in SUCCEEDED:
        return text
    return SUCCESSOR if requirement.marker is None else f"{SUCCESSOR} ; {requirement.marker}"
