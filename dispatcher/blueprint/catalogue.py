"""Imports by ``plugin:`` and ``blueprint:``, read from the catalogues that the caller provides."""

from __future__ import annotations

from typing import Optional
from urllib.parse import parse_qsl

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion
from packaging.version import Version as PackageVersion

from outrider.dispatcher.blueprint.kinds import Kind
from outrider.dispatcher.blueprint.located import Mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.resolver import Text
from outrider.dispatcher.blueprint.settings import Settings
from outrider.dispatcher.blueprint.versions import Version


def read_plugin(
    name: str, settings: Settings, version: Version, problems: Problems, *, at: Optional[Mark]
) -> Optional[Text]:
    """Return the yaml of ``plugin:NAME?version=SPEC&distribution=D``: the newest version that matches."""
    plugin_name, _, query = name.removeprefix("plugin:").partition("?")
    wanted: dict[str, str] = {}
    for key, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if key not in {"version", "distribution"}:
            message = f"plugin imports take version and distribution, not {key!r}"
            problems.add(Kind.IMPORT_NOT_FOUND, message, at=at)
            return None
        wanted[key] = f"{wanted[key]},{value}" if key in wanted else value
    if settings.plugins is None:
        message = f"the plugin {plugin_name!r} cannot be looked up: this run has no catalogue of plugins"
        problems.add(Kind.IMPORT_NOT_FOUND, message, at=at)
        return None
    try:
        wanted_versions = specifiers(wanted.get("version", ""))
    except InvalidSpecifier as exc:
        problems.add(Kind.IMPORT_NOT_FOUND, f"the version of {name!r} is not readable: {exc}", at=at)
        return None
    known = settings.plugins.versions(plugin_name, distribution=wanted.get("distribution"))
    matching = [item for item in known if _matches(item, wanted_versions)]
    if not matching:
        have = f"known versions: {', '.join(sorted(known))}" if known else "no version of it is known"
        problems.add(Kind.IMPORT_NOT_FOUND, f"no plugin matches {name!r}; {have}", at=at)
        return None
    plugin = settings.plugins.plugin(plugin_name, max(matching, key=_order), dsl_version=version)
    return Text(name=plugin.source_name, text=plugin.yaml_text, plugin=plugin)


def specifiers(text: str) -> SpecifierSet:
    """Return a comma list of PEP 440 specifiers; a bare version means exactly that one."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return SpecifierSet(",".join(part if part[0] in "<>=!~" else f"=={part}" for part in parts), prereleases=True)


def _matches(version: str, wanted: SpecifierSet) -> bool:
    try:
        return wanted.contains(PackageVersion(version))
    except InvalidVersion:
        return not wanted


def _order(version: str) -> tuple[int, PackageVersion]:
    try:
        return 1, PackageVersion(version)
    except InvalidVersion:
        return 0, PackageVersion("0")


def read_blueprint(blueprint_id: str, settings: Settings, problems: Problems, *, at: Optional[Mark]) -> Optional[Text]:
    """Return the merged text of an uploaded blueprint."""
    found = settings.blueprints.blueprint(blueprint_id) if settings.blueprints else None
    if found is None:
        why = (
            "is not uploaded" if settings.blueprints else "cannot be looked up: this run has no catalogue of blueprints"
        )
        problems.add(Kind.IMPORT_NOT_FOUND, f"the blueprint {blueprint_id!r} {why}", at=at)
        return None
    return Text(name=f"blueprint:{blueprint_id}", text=found.yaml_text)
