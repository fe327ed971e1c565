"""Intrinsic functions for the REST API: as the engine evaluates them, but with the values of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher import blueprint as language
from outrider.dispatcher.blueprint import FunctionFailed, Scope
from outrider.dispatcher.facts import ModelFacts
from outrider.dispatcher.model import Model
from outrider.dispatcher.secrets import Visibility
from outrider.manager_stub.calls import Call
from outrider.manager_stub.errors import Forbidden
from outrider.manager_stub.hidden import may_read


class FactsWithSecrets(ModelFacts):
    """Facts of a deployment; `secret` returns values, which go to whoever may read them by `GET /secrets` too."""

    def __init__(self, model: Model, connection: Connection, call: Call) -> None:
        super().__init__(model, connection)
        self._call = call
        self._tenant = model.deployment.tenant

    def secret(self, name: str) -> Any:
        """Return a secret's value; raises Forbidden for one that is hidden from the caller, or private to another."""
        found = self._call.manager.secrets.get(self._tenant, name)
        info = found.info
        if (info.hidden or info.visibility is Visibility.PRIVATE) and not may_read(self._call, info.created_by):
            why = "hidden" if info.hidden else "private"
            raise Forbidden(f"secret {name!r} is {why}: its value is for {info.created_by!r} only")
        return found.value


class Evaluation:
    """One deployment's facts, good for the time of a transaction."""

    def __init__(self, facts: FactsWithSecrets) -> None:
        self._facts = facts

    @classmethod
    def of(cls, call: Call, connection: Connection, deployment_id: str) -> Evaluation:
        """Read a deployment of the caller's tenant; raises `NotFound`."""
        model = Model.load(connection, (call.tenant, deployment_id), {})
        return cls(FactsWithSecrets(model, connection, call))

    def strict(self, payload: Any, scope: Scope) -> Any:
        """Return the payload evaluated; raises `FunctionFailed`, Forbidden (a hidden secret)."""
        return language.evaluate(payload, scope=scope, storage=self._facts, secret_values=True)

    def lenient(self, properties: Mapping[str, Any], *, self_id: str | None) -> dict[str, Any]:
        """Return properties evaluated; one that cannot be evaluated yet, or by this caller, stays as written."""
        found: dict[str, Any] = {}
        for name, value in properties.items():
            try:
                found[name] = self.strict(value, Scope(self_id=self_id))
            except (FunctionFailed, Forbidden):
                found[name] = value
        return found
