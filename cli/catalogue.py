"""Answers ``plugin:`` imports of blueprints from the plugins that the command's store knows."""

from __future__ import annotations

from contextlib import closing

from outrider.cli.stores import open_database
from outrider.dispatcher.blueprint import CataloguePlugin
from outrider.dispatcher.store import plugins
from outrider.dispatcher.store.plugins import Plugin


class StoredPlugins:
    """The catalogue over the store's table of plugins."""

    def versions(self, name: str, *, distribution: str | None) -> list[str]:  # noqa: ARG002 - wagons say what they fit
        """Return the known versions of a package."""
        return [plugin.package_version for plugin in _plugins(name)]

    def plugin(self, name: str, version: str, *, dsl_version: tuple[int, int]) -> CataloguePlugin:
        """Return one version with the description that suits the blueprint's language version."""
        found = next(plugin for plugin in _plugins(name) if plugin.package_version == version)
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


def best_yaml(plugin: Plugin, dsl_version: tuple[int, int]) -> str:
    """Return the description for a language version: ``plugin_1_4.yaml`` goes before ``plugin.yaml``."""
    major, minor = dsl_version
    for name in (f"plugin_{major}_{minor}.yaml", "plugin.yaml"):
        if name in plugin.yamls:
            return plugin.yamls[name]
    return next(iter(plugin.yamls.values()), "")


def _plugins(name: str) -> list[Plugin]:
    with closing(open_database()) as database, database.read() as connection:
        return plugins.listed(connection, package_name=name)
