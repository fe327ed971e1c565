"""Evaluates functions of a living deployment: for the engine (references to secrets) and the REST API (values)."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.functions.evaluate import Evaluator
from outrider.dispatcher.blueprint.functions.runtime import RuntimeFacts
from outrider.dispatcher.blueprint.functions.scope import NO_SCOPE, Scope, Storage


def evaluate(value: Any, *, scope: Scope = NO_SCOPE, storage: Storage, secret_values: bool = False) -> Any:
    """Return a copy of `value` with all functions evaluated; raises `FunctionFailed`.

    Secrets become references (`functions.markers`) that only the agent redeems; with `secret_values`, for the REST
    API's "evaluate functions", they are read from the storage. Evaluate a value of the plan once: the result may hold
    references, which a second evaluation would take for data.
    """
    return Evaluator(RuntimeFacts(storage, secret_values=secret_values)).evaluate(value, scope)
