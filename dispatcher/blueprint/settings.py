"""What `load` may read, and from where; decided by the caller (command line, manager), not by the blueprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol

from outrider.dispatcher.blueprint.text import Limits


@dataclass(frozen=True)
class CataloguePlugin:
    """A plugin that a catalogue offers: its `plugin.yaml`, and the labels and tags of its uploaded record."""

    name: str
    version: str
    yaml_text: str
    #: How messages name the text (``plugin:aws 3.1.7``).
    source_name: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    blueprint_labels: Mapping[str, Any] = field(default_factory=dict)
    resource_tags: Mapping[str, Any] = field(default_factory=dict)
    #: Functions of the language that the plugin would add to a parser that runs its code; ours does not.
    functions: tuple[str, ...] = ()


class PluginCatalogue(Protocol):
    """Where ``plugin:`` imports come from; the manager implements it over its store of plugins."""

    def versions(self, name: str, *, distribution: Optional[str]) -> list[str]:
        """Return the versions that exist, in any order; empty when the plugin is not known."""

    def plugin(self, name: str, version: str, *, dsl_version: tuple[int, int]) -> CataloguePlugin:
        """Return one plugin; of several yaml files the one that suits the blueprint's language version."""


@dataclass(frozen=True)
class CatalogueBlueprint:
    """An uploaded blueprint, already merged into one text, and where its scripts live."""

    id: str
    yaml_text: str


class BlueprintCatalogue(Protocol):
    """Where ``blueprint:`` imports come from; the manager implements it over its uploaded blueprints."""

    def blueprint(self, blueprint_id: str) -> Optional[CatalogueBlueprint]:
        """Return an uploaded blueprint, or None."""


@dataclass(frozen=True)
class ResolverRule:
    """URLs that begin with `prefix` are read from `replacement` (a folder, or another URL) instead."""

    prefix: str
    replacement: str


@dataclass(frozen=True)
class Settings:
    """How blueprints are read. The defaults suit a local run: local files, no network."""

    #: Read imports by http and https.
    allow_http: bool = False
    #: Refuse files outside the blueprint's folder; for uploaded blueprints.
    confine: bool = False
    #: Tried in order; with `fallback`, the original URL is tried after the rules.
    resolver_rules: tuple[ResolverRule, ...] = ()
    fallback: bool = True
    #: Refuse features that are newer than the blueprint's version.
    validate_version: bool = True
    limits: Limits = field(default_factory=Limits)
    #: Files that one blueprint may import, over all levels.
    most_imports: int = 500
    http_attempts: int = 4
    http_timeout_seconds: float = 10.0
    http_retry_seconds: float = 1.0
    plugins: Optional[PluginCatalogue] = None
    blueprints: Optional[BlueprintCatalogue] = None
