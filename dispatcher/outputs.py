"""A deployment's outputs and capabilities, evaluated from what is stored now."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher import blueprint as language
from outrider.dispatcher.facts import ModelFacts
from outrider.dispatcher.model import Model


def evaluated(connection: Connection, key: tuple[str, str], section: str) -> dict[str, Any]:
    """Return the values of ``outputs`` or ``capabilities``; one that cannot be evaluated says why in its place.

    `key` is (tenant, deployment id). Raises `NotFound`.
    """
    model = Model.load(connection, key, {})
    facts = ModelFacts(model, connection)
    found: dict[str, Any] = {}
    for name, definition in getattr(model.deployment, section).items():
        try:
            found[name] = language.evaluate(definition["value"], storage=facts)
        except language.FunctionFailed as error:
            found[name] = f"<ERROR: {error}>"
    return found
