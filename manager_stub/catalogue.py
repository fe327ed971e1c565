"""Answers ``plugin:`` imports of uploaded blueprints from the plugins that a tenant sees."""

from __future__ import annotations

from collections.abc import Sequence

from outrider.dispatcher.blueprint import CataloguePlugin
from outrider.dispatcher.store import plugins
from outrider.dispatcher.store.database import Database
from outrider.dispatcher.store.plugins import Plugin


class TenantPlugins:
    """The catalogue of one tenant: its own plugins before those that are visible to all."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    def versions(self, name: str, *, distribution: str | None) -> list[str]:  # noqa: ARG002 - wagons say what they fit
        """Return the known versions of a package."""
        return [plugin.package_version for plugin in self._seen(name)]

    def plugin(self, name: str, version: str, *, dsl_version: tuple[int, int]) -> CataloguePlugin:
        """Return one version with the description that suits the blueprint's language version."""
        found = next(plugin for plugin in self._seen(name) if plugin.package_version == version)
        return CataloguePlugin(
            name=name,
            version=version,
            yaml_text=best_yaml(found, dsl_version),
            source_name=f"plugin:{name} {version}",
            labels=found.details.get("labels") or {},
            blueprint_labels=found.details.get("blueprint_labels") or {},
            resource_tags=found.details.get("resource_tags") or {},
            functions=tuple(found.details.get("functions") or ()),
        )

    def _seen(self, name: str) -> Sequence[Plugin]:
        with self._database.read() as connection:
            found = plugins.listed(connection, package_name=name)
        own = [each for each in found if each.tenant == self._tenant]
        shared = [each for each in found if each.tenant != self._tenant and each.details.get("visibility") == "global"]
        return [*own, *shared]


def best_yaml(plugin: Plugin, dsl_version: tuple[int, int]) -> str:
    """Return the description for a language version: ``plugin_1_4.yaml`` goes before ``plugin.yaml``."""
    major, minor = dsl_version
    for name in (f"plugin_{major}_{minor}.yaml", "plugin.yaml"):
        if name in plugin.yamls:
            return plugin.yamls[name]
    return next(iter(plugin.yamls.values()), "")
