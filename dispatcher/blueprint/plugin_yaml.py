"""Reads a ``plugin.yaml`` on its own: what a plugin brings, for the manager and for `outrider plugin` commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outrider.dispatcher.blueprint.errors import BlueprintInvalid
from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Map, Mark, Source
from outrider.dispatcher.blueprint.plugin_builder import build_plugins
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.sections import check_sections
from outrider.dispatcher.blueprint.text import read_tree
from outrider.dispatcher.blueprint.values import Values
from outrider.dispatcher.blueprint.versions import ANY_VERSION


@dataclass(frozen=True)
class PluginYaml:
    """What one ``plugin.yaml`` brings."""

    #: Plugin name -> its entry as a plan shows it.
    plugins: Mapping[str, Mapping[str, Any]]
    node_types: tuple[str, ...]
    relationships: tuple[str, ...]
    data_types: tuple[str, ...]
    workflows: tuple[str, ...]
    #: Name -> values.
    labels: Mapping[str, list[str]]
    blueprint_labels: Mapping[str, list[str]]
    resource_tags: Mapping[str, Any]


def read_plugin_yaml(text: str, *, name: str = "plugin.yaml") -> PluginYaml:
    """Read a ``plugin.yaml``; raises `BlueprintInvalid` with all mistakes of form.

    Names that the file refers to and that come from elsewhere (the built-in types) are not looked up.
    """
    problems = Problems()
    source = Source(name, text, any_version=True)
    tree = read_tree(source, problems)
    if not isinstance(tree, Map):
        if not problems:
            problems.add(Kind.YAML, f"{name} must be a mapping at its top", at=Mark(source, 1, 1))
        raise BlueprintInvalid(problems.errors())
    tree.pop("tosca_definitions_version", None)
    check_sections(tree, problems, ANY_VERSION)
    data_types = tree.get("data_types") or {}
    values = Values({key: (entry or {}).get("properties") or {} for key, entry in data_types.items()}, problems)
    plugins = build_plugins(tree.get("plugins"), values, problems)
    if problems:
        raise BlueprintInvalid(problems.errors())
    return PluginYaml(
        plugins={key: plugin.record for key, plugin in plugins.items()},
        node_types=tuple(tree.get("node_types") or ()),
        relationships=tuple(tree.get("relationships") or ()),
        data_types=tuple(data_types),
        workflows=tuple(tree.get("workflows") or ()),
        labels=_labels(tree.get("labels")),
        blueprint_labels=_labels(tree.get("blueprint_labels")),
        resource_tags=dict(tree.get("resource_tags") or {}),
    )


def _labels(section: Any) -> dict[str, list[str]]:
    return {key: [str(value) for value in entry["values"]] for key, entry in (section or {}).items()}
