"""Intrinsic functions for the REST API: as the engine evaluates them, but with the values of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from outrider.dispatcher import blueprint as language
from outrider.dispatcher.blueprint import FunctionFailed, Scope
from outrider.dispatcher.facts import ModelFacts
from outrider.dispatcher.model import Model
from outrider.dispatcher.secrets import SecretStore
from outrider.manager_stub.calls import Call


class FactsWithSecrets(ModelFacts):
    """Facts of a deployment; `secret` returns values, which go to whoever may read them by `GET /secrets` too."""

    def __init__(self, model: Model, connection: Connection, secrets: SecretStore) -> None:
        super().__init__(model, connection)
        self._secrets = secrets
        self._tenant = model.deployment.tenant

    def secret(self, name: str) -> Any:
        """Return a secret's value."""
        return self._secrets.get(self._tenant, name).value


class Evaluation:
    """One deployment's facts, good for the time of a transaction."""

    def __init__(self, facts: FactsWithSecrets) -> None:
        self._facts = facts

    @classmethod
    def of(cls, call: Call, connection: Connection, deployment_id: str) -> Evaluation:
        """Read a deployment of the caller's tenant; raises `NotFound`."""
        model = Model.load(connection, (call.tenant, deployment_id), {})
        return cls(FactsWithSecrets(model, connection, call.manager.secrets))

    def strict(self, payload: Any, scope: Scope) -> Any:
        """Return the payload evaluated; raises `FunctionFailed`."""
        return language.evaluate(payload, scope=scope, storage=self._facts, secret_values=True)

    def lenient(self, properties: Mapping[str, Any], *, self_id: str | None) -> dict[str, Any]:
        """Return properties evaluated; one that cannot be evaluated yet stays as it is written."""
        found: dict[str, Any] = {}
        for name, value in properties.items():
            try:
                found[name] = self.strict(value, Scope(self_id=self_id))
            except FunctionFailed:
                found[name] = value
        return found
