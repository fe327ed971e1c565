"""Values as the wire has them: times with three decimals, visibility in three spellings, labels as lists."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from outrider.manager_stub.errors import BadRequest

VISIBILITIES = ("private", "tenant", "global")
_ID = re.compile(r"[A-Za-z0-9._-]{1,256}")
_AHEAD = re.compile(r"\+\s*(\d+)\s*(s|sec|second|m|min|minute|h|hour|d|day|w|week)s?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@functools.lru_cache(maxsize=16_384)
def time_text(moment: float | None) -> str | None:
    """Return seconds since the epoch as ``2026-11-22T23:00:00.123Z``.

    Remembered, because a page has hundreds of times, and is asked for again and again.
    """
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str, *, now: float) -> float:
    """Return seconds since the epoch for a moment (``2026-11-22 23:00``) or a wait (``+10h``); raises BadRequest."""
    try:
        found = _moment(text.strip(), now)
        time_text(found)  # what cannot be written would fail every list that shows it
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{text[:40]!r} is no time: write 2026-11-22 23:00, or +10h, +30min") from error
    return found


def _moment(text: str, now: float) -> float:
    ahead = _AHEAD.fullmatch(text)
    if ahead is not None:
        return now + timedelta(seconds=int(ahead[1]) * _SECONDS[ahead[2][0].lower()]).total_seconds()
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def checked_id(text: str, *, kind: str, letter_first: bool = False, longest: int = 256) -> str:
    """Return an id that follows the rules for ids; raises BadRequest."""
    if len(text) > longest or not _ID.fullmatch(text) or (letter_first and not text[0].isalpha()) or set(text) == {"."}:
        rule = "begins with a letter and has" if letter_first else "has"
        raise BadRequest(f"{kind} id {text[:80]!r} is not valid: it {rule} letters, digits, . _ - ({longest} at most)")
    return text


def checked_visibility(text: str | None) -> str:
    """Return a visibility; raises BadRequest."""
    chosen = text or "tenant"
    if chosen not in VISIBILITIES:
        raise BadRequest(f"visibility {chosen!r} is not one of {', '.join(VISIBILITIES)}")
    return chosen


def ownership(details: Mapping[str, Any], tenant: str, created_at: float | None) -> dict[str, Any]:
    """Return the fields that all resources have."""
    visibility = details.get("visibility") or "tenant"
    return {
        "visibility": visibility,
        "resource_availability": visibility,
        "private_resource": visibility == "private",
        "tenant_name": tenant,
        "created_by": details.get("created_by") or "",
        "created_at": time_text(created_at),
    }


def labels_list(details: Mapping[str, Any], created_at: float) -> list[dict[str, Any]]:
    """Return labels, stored as key → values, as the wire's list."""
    labels = details.get("labels")
    if not labels:
        return []
    creator, created = details.get("created_by") or "", time_text(created_at)
    return [
        {"key": key, "value": value, "created_at": created, "created_by": creator}
        for key, values in labels.items()
        for value in values
    ]


def labels_stored(sent: Iterable[Mapping[str, Any]] | None) -> dict[str, list[str]]:
    """Return the wire's labels, ``[{key, value}]`` or ``[{key: value}]``, as key → values; raises BadRequest."""
    found: dict[str, list[str]] = {}
    for each in sent or ():
        pairs = [(each["key"], each["value"])] if set(each) >= {"key", "value"} else list(each.items())
        for key, value in pairs:
            if not isinstance(value, str):
                raise BadRequest(f"label {key!r} has the value {value!r}: labels are texts")
            if value not in found.setdefault(str(key).lower(), []):
                found[str(key).lower()].append(value)
    return found
