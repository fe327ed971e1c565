"""Compares a resource with what the blueprint says of it; called by `check_drift`."""

from __future__ import annotations

from typing import Any, Optional

import jmespath

from outrider.plugins.aws import arguments, engine, ownership
from outrider.plugins.aws.row import Description
from outrider.plugins.aws.runtime import plain
from outrider.plugins.aws.work import CONFIG, Work


def check(work: Work) -> Optional[dict[str, Any]]:
    """Return what differs, ``{"argument": {"expected", "found"}}`` or ``{"missing": true}``; None if nothing does."""
    description = engine.find(work)
    if description is None:
        return {"missing": True}
    if work.row.differences is not None:
        return work.row.differences(work, description) or None
    found = _arguments(work, description)
    if not ownership.is_external(work):
        found.update(_tags(work, description))
    return found or None


def _arguments(work: Work, description: Description) -> dict[str, Any]:
    """Compare each argument that the description shows under the same name, or where the row says."""
    # What the resource was made with counts, and over it what the blueprint says now.
    expected = {**(work.noted.get(CONFIG) or {}), **arguments.of_blueprint(work)}
    differences = {}
    for name, value in expected.items():
        path = work.row.drift.get(name, name)
        if not path or (path == name and name not in description):
            continue
        found = plain(jmespath.search(path, description))
        if found is not None and isinstance(value, (str, int, float, bool)) and str(found) != str(value):
            differences[name] = {"expected": value, "found": found}
    return differences


def _tags(work: Work, description: Description) -> dict[str, Any]:
    if work.row.tagging is None or "Tags" not in description:
        return {}
    found = ownership.tags_of(description)
    expected = {tag["Key"]: tag["Value"] for tag in ownership.tags(work)}
    lost = {key: value for key, value in expected.items() if found.get(key) != value}
    if not lost:
        return {}
    return {"Tags": {"expected": lost, "found": {key: found.get(key) for key in lost}}}
