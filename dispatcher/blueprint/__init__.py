"""The blueprint language: DSL 1.0 to 1.5, from text to a deployment's node instances.

Called by the dispatcher's engine and workflows, the command line and the manager. The stages are values::

    text → documents with positions → sections → typed model → plan → deployment plan with node instances

`load` runs the first five and raises `BlueprintInvalid` with every mistake; `prepare_deployment` makes the last.
"""

from __future__ import annotations

from outrider.dispatcher.blueprint.deployment import prepare_deployment
from outrider.dispatcher.blueprint.errors import (
    BlueprintError,
    BlueprintFailure,
    BlueprintInvalid,
    DeploymentInvalid,
    FunctionFailed,
    ScalingRefused,
)
from outrider.dispatcher.blueprint.evaluation import evaluate
from outrider.dispatcher.blueprint.functions import has_functions
from outrider.dispatcher.blueprint.functions.markers import has_markers, redeem, secret_names
from outrider.dispatcher.blueprint.functions.scope import NO_SCOPE, Instance, Scope, Storage
from outrider.dispatcher.blueprint.graph import mermaid, svg
from outrider.dispatcher.blueprint.inputs import complete_parameters
from outrider.dispatcher.blueprint.instances import Hints, IdMaker, id_maker, reconcile
from outrider.dispatcher.blueprint.json_schema import json_schema
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.lint import lint
from outrider.dispatcher.blueprint.lint_warning import LintWarning
from outrider.dispatcher.blueprint.loading import Blueprint, load
from outrider.dispatcher.blueprint.plugin_yaml import PluginYaml, read_plugin_yaml
from outrider.dispatcher.blueprint.scaling import InstanceChanges, scale, update_instances
from outrider.dispatcher.blueprint.settings import (
    BlueprintCatalogue,
    CatalogueBlueprint,
    CataloguePlugin,
    PluginCatalogue,
    ResolverRule,
    Settings,
)
from outrider.dispatcher.blueprint.staged import model_stage, nodes_stage, text_stage

__all__ = [
    "NO_SCOPE",
    "Blueprint",
    "BlueprintCatalogue",
    "BlueprintError",
    "BlueprintFailure",
    "BlueprintInvalid",
    "CatalogueBlueprint",
    "CataloguePlugin",
    "DeploymentInvalid",
    "FunctionFailed",
    "Hints",
    "IdMaker",
    "Instance",
    "InstanceChanges",
    "Kind",
    "LintWarning",
    "PluginCatalogue",
    "PluginYaml",
    "ResolverRule",
    "ScalingRefused",
    "Scope",
    "Settings",
    "Storage",
    "complete_parameters",
    "evaluate",
    "has_functions",
    "has_markers",
    "id_maker",
    "json_schema",
    "lint",
    "load",
    "mermaid",
    "model_stage",
    "nodes_stage",
    "prepare_deployment",
    "read_plugin_yaml",
    "reconcile",
    "redeem",
    "scale",
    "secret_names",
    "svg",
    "text_stage",
    "update_instances",
]
