"""Text → plan: runs the stages in order and keeps what each of them made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from outrider.dispatcher.blueprint.collector import collector_paused
from outrider.dispatcher.blueprint.errors import BlueprintError, BlueprintInvalid
from outrider.dispatcher.blueprint.group_builder import GroupBuilder
from outrider.dispatcher.blueprint.implementations import Implementations
from outrider.dispatcher.blueprint.imports import Document, Gathered, gather
from outrider.dispatcher.blueprint.input_builder import build_inputs
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.label_builder import check_labels, check_schedules
from outrider.dispatcher.blueprint.located import Map, Mark, Source
from outrider.dispatcher.blueprint.merge import merge_documents
from outrider.dispatcher.blueprint.model import Model
from outrider.dispatcher.blueprint.plan import NodePlanner, unique_by_name
from outrider.dispatcher.blueprint.plan_types import data_types, relationship_types, requirements
from outrider.dispatcher.blueprint.plugin_builder import build_plugins
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.references import check_references
from outrider.dispatcher.blueprint.resolver import NotResolved, read_file
from outrider.dispatcher.blueprint.sections import check_sections
from outrider.dispatcher.blueprint.settings import Settings
from outrider.dispatcher.blueprint.template_builder import TemplateBuilder
from outrider.dispatcher.blueprint.text import read_tree
from outrider.dispatcher.blueprint.topology import find_hosts, refuse_cycles
from outrider.dispatcher.blueprint.type_builder import build_data_types, build_node_types, build_relationship_types
from outrider.dispatcher.blueprint.values import Values
from outrider.dispatcher.blueprint.versions import ANY_VERSION, Version
from outrider.dispatcher.blueprint.workflow_builder import build_workflows


@dataclass(frozen=True)
class Blueprint:
    """A blueprint that was read without mistakes, with every stage that led to its plan."""

    #: The main file, and the folder in which scripts and resources are looked up.
    main_file: Path
    root: Path
    #: Stage 1: every file with its tree; the main file first.
    documents: tuple[Document, ...]
    #: Stage 2: the sections of all files, merged; values know where they were written.
    sections: Map
    #: Stage 3: types derived, templates completed.
    model: Model
    #: Stage 4: plain JSON in the ecosystem's shape; read it, never change it.
    plan: Mapping[str, Any]


def load(path: Path | str, *, settings: Optional[Settings] = None, root: Optional[Path] = None) -> Blueprint:
    """Read, check and plan a blueprint.

    `root` is the folder of its resources (default: the main file's). Raises `BlueprintInvalid` with all findings.
    """
    settings = settings or Settings()
    main_file = Path(path)
    try:
        text = read_file(main_file, settings)
    except (OSError, NotResolved) as exc:
        kind = Kind.TOO_LARGE if isinstance(exc, NotResolved) else Kind.IMPORT_NOT_FOUND
        message = f"the blueprint {main_file} cannot be read: {exc}"
        raise BlueprintInvalid([BlueprintError(kind=kind, message=message, file=str(main_file))]) from exc
    with collector_paused():
        return _Loader(main_file, root or main_file.parent, settings).load(text)


class _Loader:
    def __init__(self, main_file: Path, root: Path, settings: Settings) -> None:
        self._main_file = main_file
        self._root = root
        self._settings = settings
        self._problems = Problems()

    def load(self, text: str) -> Blueprint:
        problems = self._problems
        gathered = self._gather(text)
        sections = merge_documents(gathered.documents, gathered.version, problems)
        version = gathered.version if self._settings.validate_version else ANY_VERSION
        check_sections(sections, problems, version)
        model, values = self._model(sections, version)
        plan = self._plan(model, values, gathered)
        self._refuse()
        return Blueprint(self._main_file, self._root, gathered.documents, sections, model, plan)

    def _refuse(self) -> None:
        if self._problems:
            raise BlueprintInvalid(self._problems.errors())

    def _gather(self, text: str) -> Gathered:
        source = Source(str(self._main_file), text)
        tree = read_tree(source, self._problems, self._settings.limits)
        self._refuse()
        if tree is None:
            tree = Map(Mark(source, 1, 1))
        if not isinstance(tree, Map):
            self._problems.add(Kind.YAML, "the blueprint must be a mapping at its top", at=Mark(source, 1, 1))
            self._refuse()
        main = Document(tree=tree, source=source, base=self._main_file.parent)
        return gather(main, self._root, self._settings, self._problems)

    def _model(self, sections: Map, version: Version) -> tuple[Model, Values]:
        problems = self._problems
        types = build_data_types(sections.get("data_types"), problems)
        values = Values(types, problems, version)
        node_types = build_node_types(sections.get("node_types"), values, problems)
        relationship_types = build_relationship_types(sections.get("relationships"), values, problems)
        plugins = build_plugins(sections.get("plugins"), values, problems)
        templates = TemplateBuilder(
            sections.get("node_templates"), node_types, relationship_types, values, problems
        ).build()
        refuse_cycles(templates, problems)
        model = Model(sections, types, node_types, relationship_types, plugins, templates, find_hosts(templates))
        return model, values

    def _plan(self, model: Model, values: Values, gathered: Gathered) -> dict[str, Any]:
        problems, sections = self._problems, model.sections
        blueprints = gathered.imported_blueprints
        plain = {item.namespace for item in gathered.documents if item.namespace} - set(blueprints)
        implementations = Implementations(
            model.plugins, self._root, self._settings, namespaces=blueprints, plain_namespaces=plain
        )
        nodes = NodePlanner(model, implementations, problems).nodes()
        groups = GroupBuilder(sections, model.node_templates, values, problems)
        group_records = groups.groups()
        policies, scaling_groups = groups.policies()
        workflows = build_workflows(sections.get("workflows"), implementations, values, problems)
        check_references(model, values, problems, foreign=gathered.foreign_functions)
        check_labels(sections.get("labels"), problems, what="labels", functions=True)
        check_labels(sections.get("blueprint_labels"), problems, what="blueprint_labels", functions=False)
        check_schedules(sections.get("deployment_settings"), problems)
        used = dict.fromkeys(item["plugin"] for item in workflows.values())
        workflow_plugins = [model.plugins[name].record for name in used if name in model.plugins]
        return {
            "description": sections.get("description"),
            "metadata": sections.get("metadata"),
            "version": {
                "raw": gathered.raw_version,
                "definitions_name": "cloudify_dsl",
                "definitions_version": list(gathered.version),
            },
            "inputs": build_inputs(sections.get("inputs"), values, problems, what="inputs"),
            "nodes": nodes,
            "relationships": relationship_types(model.relationship_types),
            "workflows": workflows,
            "groups": group_records,
            "policies": policies,
            "scaling_groups": scaling_groups,
            "policy_types": sections.get("policy_types") or {},
            "policy_triggers": sections.get("policy_triggers") or {},
            "outputs": sections.get("outputs") or {},
            "capabilities": sections.get("capabilities") or {},
            "labels": sections.get("labels") or {},
            "blueprint_labels": sections.get("blueprint_labels") or {},
            "resource_tags": sections.get("resource_tags") or {},
            "deployment_settings": _deployment_settings(sections.get("deployment_settings")),
            "data_types": data_types(model),
            "deployment_plugins_to_install": unique_by_name([n["deployment_plugins_to_install"] for n in nodes]),
            "workflow_plugins_to_install": workflow_plugins,
            "host_agent_plugins_to_install": unique_by_name([n.get("plugins_to_install", []) for n in nodes]),
            "requirements": requirements(nodes, sections),
            "imported_blueprints": list(gathered.imported_blueprints.values()),
            "namespaces_mapping": dict(gathered.imported_blueprints),
        }


def _deployment_settings(section: Any) -> Mapping[str, Any]:
    return {"default_schedules": {}, **section} if section else {}
