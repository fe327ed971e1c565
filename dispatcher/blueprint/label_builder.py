"""Checks labels, blueprint labels and deployment settings."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Optional

from outrider.dispatcher.blueprint.functions import is_function
from outrider.dispatcher.blueprint.functions.names import find_functions
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import value_mark
from outrider.dispatcher.blueprint.problems import Problems

_UNITS = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
    "months": timedelta(days=30),
    "years": timedelta(days=365),
}
_SHORT = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks", "mo": "months", "y": "years"}
_RELATIVE = re.compile(r"\+\s*(\d{1,6})\s*([a-z]+)", re.IGNORECASE)


def check_labels(section: Any, problems: Problems, *, what: str, functions: bool) -> None:
    """Check that each value of a label is text, or with `functions` a function that needs no living deployment."""
    for key, entry in (section if isinstance(section, dict) else {}).items():
        values = entry.get("values") or []
        for index, value in enumerate(values):
            at = value_mark(values, index)
            if isinstance(value, str):
                continue
            if not functions or not is_function(value):
                allowed = "text or a function" if functions else "text"
                problems.add(Kind.LABEL, f"{what}.{key}: each value is {allowed}, not {value!r}", at=at)
            elif any(name == "get_attribute" for name, _, _ in find_functions(value)):
                problems.add(Kind.LABEL, f"{what}.{key}: get_attribute is not known when labels are set", at=at)


def check_schedules(settings: Any, problems: Problems) -> None:
    """Check the times and workflows of default schedules."""
    schedules = (settings or {}).get("default_schedules") or {}
    for name, schedule in schedules.items():
        for key in ("since", "until"):
            text = schedule.get(key)
            if text is not None and read_time(text, now=datetime(2000, 1, 1)) is None:  # noqa: DTZ001 - a form check
                message = f"the schedule {name!r} has {key}: {text!r}, which is no time"
                problems.add(Kind.SCHEDULE, message, at=value_mark(schedule, key))


def read_time(text: str, *, now: datetime) -> Optional[datetime]:
    """Return the moment that a schedule's text names, or None; ``+N unit`` and ``HH:MM`` count from `now`."""
    relative = _RELATIVE.fullmatch(text.strip())
    if relative:
        word = relative[2].lower()
        unit = _UNITS.get(_SHORT.get(word, word if word.endswith("s") else word + "s"))
        return now + int(relative[1]) * unit if unit else None
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            return datetime.strptime(text.strip(), form)  # noqa: DTZ007 - the schedule states its timezone beside it
        except ValueError:
            continue
    try:
        clock = datetime.strptime(text.strip(), "%H:%M")  # noqa: DTZ007 - as above
    except ValueError:
        return None
    return now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
