"""Runtime properties of an instance: what blueprints ask for with `get_attribute`, in the ecosystem's names."""

from __future__ import annotations

import json
from typing import Any

import jmespath

from outrider.plugins.aws.row import Description
from outrider.plugins.aws.work import Work

#: Never noted: key material has properties of its own to ask for it.
_HIDDEN = frozenset({"KeyMaterial", "ResponseMetadata", "Body"})


def note_identity(work: Work, description: Description) -> None:
    """Note id and ARN."""
    row = work.row
    identifier = jmespath.search(row.id, description) if row.id else work.config.get(row.named_by)
    if identifier:
        work.noted["aws_resource_id"] = str(identifier)
    arn = jmespath.search(row.arn, description) if row.arn else None
    if arn:
        work.noted["aws_resource_arn"] = arn
    work.save_config()


def note(work: Work, description: Description) -> None:
    """Note everything that is known of the resource now, durably."""
    if not work.noted.get("aws_resource_id"):
        note_identity(work, description)
    elif work.row.arn and not work.noted.get("aws_resource_arn"):
        work.noted["aws_resource_arn"] = jmespath.search(work.row.arn, description)
    work.noted["create_response"] = plain({key: value for key, value in description.items() if key not in _HIDDEN})
    for name, path in work.row.notes.items():
        value = jmespath.search(path, description)
        if value is None:
            work.noted.pop(name, None)
        else:
            work.noted[name] = plain(value)
    if work.row.observed is not None:
        work.row.observed(work, description)
    work.instance.update()


def forget(work: Work) -> None:
    """Remove everything that was noted."""
    work.noted.clear()


def plain(value: Any) -> Any:
    """Return the value as JSON has it; times become texts, streams are left out."""
    return json.loads(json.dumps(value, default=_text))


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else None
