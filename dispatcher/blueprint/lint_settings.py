"""Warnings about deployment settings that are read and kept, and that nothing follows; a part of `lint`.

They are valid, because existing blueprints have them; whoever expects a nightly run should learn that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from outrider.dispatcher.blueprint.lint_warning import LintWarning, is_own, warning_at
from outrider.dispatcher.blueprint.loading import Blueprint
from outrider.dispatcher.blueprint.located import key_mark

#: Setting → what happens instead, and what to do.
_WITHOUT_EFFECT = {
    "default_schedules": (
        "no deployment gets schedules; start the workflow at its time (`--schedule` of the REST client's `executions"
        " start`, or a timer of the system that runs `outrider run`)"
    ),
    "default_groups": "there are no groups of deployments; labels tell deployments apart",
    "id_template": "whoever creates a deployment names it",
}


def settings_warnings(blueprint: Blueprint) -> Iterator[LintWarning]:
    """Return the warnings for `deployment_settings`."""
    settings = blueprint.sections.get("deployment_settings") or {}
    for name, why in _WITHOUT_EFFECT.items():
        at = key_mark(settings, name) if settings.get(name) else None
        if at is not None and is_own(at):
            yield warning_at("setting-without-effect", f"{name} has no effect: {why}", at)
