"""Makes blueprints and deployments: reads, plans, and stores them with their resources. No operation runs here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outrider.dispatcher import blueprint as language
from outrider.dispatcher import labels as labelling
from outrider.dispatcher.children import PARENT_LABEL
from outrider.dispatcher.errors import DispatcherError, NotFound
from outrider.dispatcher.files.content import ContentStore
from outrider.dispatcher.files.manifest import store_folder
from outrider.dispatcher.secrets import SecretStore
from outrider.dispatcher.store import blueprints, deployments
from outrider.dispatcher.store.blueprints import Blueprint
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.deployments import Deployment
from outrider.dispatcher.workflows.records import instances_of_records
from outrider.dispatcher.workflows.update_diff import UpdateStep, update_steps

Json = Mapping[str, Any]

#: (plugin's entry of the plan, folder of the blueprint) → how the deployment remembers what was built from `source:`.
BuildSource = Callable[[Json, Path], Json]


@dataclass(frozen=True, slots=True)
class UpdateTarget:
    """What a deployment is to become, and what that changes."""

    blueprint_id: str
    plan: Json
    present: Deployment
    steps: tuple[UpdateStep, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """What the workflow `update` has to be told."""
        return {"plan": dict(self.plan), "blueprint_id": self.blueprint_id}


class Deployer:
    """Writes blueprints and deployments."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        *,
        secrets: SecretStore | None,
        build_source: BuildSource | None,
    ) -> None:
        self._database = database
        self._content = content
        self._secrets = secrets
        self._build_source = build_source

    def create_blueprint(
        self, blueprint_id: str, path: Path, *, tenant: str, settings: language.Settings | None = None
    ) -> Blueprint:
        """Read a blueprint and store it with the files beside it. Raises `BlueprintInvalid` with every mistake."""
        loaded = language.load(path, settings=settings)
        plan = dict(loaded.plan)
        built = self._build_sources(plan, loaded.root)
        record = Blueprint(
            id=blueprint_id,
            main_file=str(loaded.main_file.resolve().relative_to(loaded.root.resolve())),
            tenant=tenant,
            plan=plan,
            description=plan.get("description"),
            resources=store_folder(self._content, loaded.root),
            details={"built_plugins": built} if built else {},
        )
        with self._database.begin() as connection:
            blueprints.save(connection, record, now=self._database.now(connection))
            return blueprints.get(connection, tenant, blueprint_id)

    def create_deployment(
        self, deployment_id: str, blueprint_id: str, *, inputs: Json, tenant: str, details: Json | None = None
    ) -> Deployment:
        """Plan a deployment and store it. Raises `NotFound`, `AlreadyExists`, `DeploymentInvalid`."""
        with self._database.read() as connection:
            blueprint = blueprints.get(connection, tenant, blueprint_id)
        asked = (details or {}).get("labels") or {}
        plan = self._prepare(blueprint, inputs, labels={**labelling.declared(blueprint.plan), **asked})
        labels = {**labelling.declared(plan), **asked}
        nodes, instances = plan.pop("nodes"), plan.pop("node_instances")
        record = Deployment(
            id=deployment_id,
            blueprint_id=blueprint_id,
            tenant=tenant,
            display_name=_display_name(plan),
            plan=plan,
            inputs=plan.get("inputs") or {},
            outputs=plan.get("outputs") or {},
            capabilities=plan.get("capabilities") or {},
            scaling_groups=plan.get("scaling_groups") or {},
            details={**blueprint.details, **(details or {}), **({"labels": labels} if labels else {})},
        )
        with self._database.begin() as connection:
            deployments.insert(
                connection,
                record,
                nodes=nodes,
                node_instances=instances_of_records({node["id"]: node for node in nodes}, instances),
                now=self._database.now(connection),
            )
            return deployments.get(connection, record.key)

    def plan_update(
        self,
        deployment_id: str,
        *,
        blueprint_id: str | None,
        inputs: Json,
        tenant: str,
        auto_correct_types: bool = False,
    ) -> UpdateTarget:
        """Plan what a deployment is to become: from another blueprint, with other inputs, or both.

        Inputs that are not given stay as they are, as far as the blueprint has them. Raises `NotFound`,
        `DeploymentInvalid`.
        """
        with self._database.read() as connection:
            present = deployments.get(connection, (tenant, deployment_id))
            nodes = deployments.nodes_of(connection, present.key)
            blueprint = blueprints.get(connection, tenant, blueprint_id or present.blueprint_id)
        declared = (blueprint.plan or {}).get("inputs") or {}
        # An input that was absent is null; the new blueprint may have a default for it.
        kept = {name: value for name, value in present.inputs.items() if name in declared and value is not None}
        plan = self._prepare(
            blueprint,
            {**kept, **inputs},
            labels=labelling.after_update(
                present.details.get("labels") or {}, old_plan=present.plan, new_plan=blueprint.plan
            ),
            auto_correct_types=auto_correct_types,
        )
        # The workflow finds the instances itself: as many of the present ones as fit stay.
        plan.pop("node_instances")
        old = {
            **present.plan,
            "nodes": list(nodes.values()),
            "outputs": present.outputs,
            "capabilities": present.capabilities,
        }
        return UpdateTarget(blueprint_id=blueprint.id, plan=plan, present=present, steps=tuple(update_steps(old, plan)))

    def _prepare(
        self,
        blueprint: Blueprint,
        inputs: Json,
        *,
        labels: Mapping[str, Sequence[str]],
        auto_correct_types: bool = False,
    ) -> dict[str, Any]:
        if blueprint.plan is None:
            raise DispatcherError(f"blueprint {blueprint.id!r} has no plan ({blueprint.state}: {blueprint.error})")
        names = None if self._secrets is None else {each.name for each in self._secrets.list(blueprint.tenant)}
        return dict(
            language.prepare_deployment(
                blueprint.plan,
                inputs=inputs,
                secrets=names,
                parent_capability=self._parent_capability(blueprint.tenant, labels),
                auto_correct_types=auto_correct_types,
            )
        )

    def _parent_capability(self, tenant: str, labels: Mapping[str, Sequence[str]]) -> Callable[[str], bool] | None:
        """Return what tells whether the parent environment offers a capability; None where there is no parent yet."""
        parents = labels.get(PARENT_LABEL) or ()
        if not parents:
            return None
        with self._database.read() as connection:
            try:
                parent = deployments.get(connection, (tenant, parents[0]))
            except NotFound:
                return None
        return parent.capabilities.__contains__

    def _build_sources(self, plan: Json, root: Path) -> dict[str, Json]:
        """Build the plugins that are named by `source:`; the engine's thread could not wait for that later."""
        if self._build_source is None:
            return {}
        found: dict[str, Json] = {}
        groups = ("deployment_plugins_to_install", "host_agent_plugins_to_install", "workflow_plugins_to_install")
        for entry in (each for group in groups for each in plan.get(group) or ()):
            if entry.get("source") and not entry.get("package_name") and entry["name"] not in found:
                found[entry["name"]] = self._build_source(entry, root)
        return found


def _display_name(plan: Json) -> str:
    """Return the name that the blueprint's settings give to its deployments, empty if they give none."""
    found = (plan.get("deployment_settings") or {}).get("display_name")
    return found if isinstance(found, str) else ""
