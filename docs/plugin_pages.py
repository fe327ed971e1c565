"""Writes a page per shipped plugin: its README.md, then every type, property and operation of its plugin.yaml.

``python docs/plugin_pages.py`` rewrites ``docs/reference/plugins/``; a test fails while a page is not current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference" / "plugins"
#: Interfaces whose operations are listed with their full name's last part only.
LIFECYCLE = "cloudify.interfaces.lifecycle"


def pages() -> dict[Path, str]:
    """Return every page's path and text."""
    found = sorted((ROOT / "plugins").glob("*/plugin.yaml"))
    return {PAGES / f"{file.parent.name}.md": page(file) for file in found}


def page(file: Path) -> str:
    """Return the page of one plugin."""
    described = yaml.safe_load(_newest(file).read_text(encoding="utf-8"))
    name = file.parent.name
    package = next(iter(described["plugins"].values()))["package_name"]
    introduction = file.with_name("README.md")
    parts = [f"# {package}", f"<!-- Made by docs/plugin_pages.py from plugins/{name}/plugin.yaml -->"]
    if introduction.exists():
        parts.append(introduction.read_text(encoding="utf-8").strip())
    parts += [f"Import it as `plugin:{package}`.", *_sections(described)]
    return "\n\n".join(parts) + "\n"


def _newest(file: Path) -> Path:
    """Return the description for newer blueprints, which says more, if there is one."""
    newer = file.with_name("plugin_1_5.yaml")
    return newer if newer.exists() else file


def _sections(described: Mapping[str, Any]) -> Iterator[str]:
    types = described.get("node_types") or {}
    if types:
        yield "## Node types"
    for name, declared in types.items():
        yield from _node_type(name, declared, types)
    settings = next(iter(described["plugins"].values())).get("properties")
    if settings:
        yield "## Plugin properties"
        yield _properties(settings)
    if described.get("relationships"):
        yield "## Relationships"
        for name, declared in described["relationships"].items():
            yield f"### {name}\n\nDerives from `{declared['derived_from']}`."
            yield from _relationship_operations(declared)
    if described.get("data_types"):
        yield "## Data types"
        for name, declared in described["data_types"].items():
            yield f"### {name}"
            yield _properties(declared.get("properties") or {})


def _node_type(name: str, declared: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[str]:
    parent = declared["derived_from"]
    shown = f"[`{parent}`](#{_anchor(parent)})" if parent in types else f"`{parent}`"
    yield f"### {name}\n\nDerives from {shown}."
    properties = declared.get("properties") or {}
    if properties:
        yield _properties(properties)
    inherited = _inherited(parent, types, set(properties))
    if inherited:
        yield "Inherited: " + ", ".join(f"`{each}`" for each in inherited) + "."
    operations = [
        each if interface == LIFECYCLE else f"{interface}.{each}"
        for interface, listed in (declared.get("interfaces") or {}).items()
        for each in listed
    ]
    if operations:
        yield "Operations: " + ", ".join(f"`{each}`" for each in operations) + "."


def _inherited(parent: str, types: Mapping[str, Any], own: set[str]) -> list[str]:
    names: list[str] = []
    while parent in types:
        names += [each for each in types[parent].get("properties") or {} if each not in own and each not in names]
        parent = types[parent]["derived_from"]
    return names


def _relationship_operations(declared: Mapping[str, Any]) -> Iterator[str]:
    for side in ("source_interfaces", "target_interfaces"):
        named = [each for listed in (declared.get(side) or {}).values() for each in listed]
        if named:
            yield f"Operations ({side.partition('_')[0]}): " + ", ".join(f"`{each}`" for each in named) + "."


def _properties(properties: Mapping[str, Any]) -> str:
    rows = ["| property | type | default | |", "| --- | --- | --- | --- |"]
    for name, declared in properties.items():
        default = _default(declared)
        description = " ".join(str(declared.get("description") or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}` | {declared.get('type') or 'any'} | {default} | {description} |")
    return "\n".join(rows)


def _default(declared: Mapping[str, Any]) -> str:
    if "default" in declared:
        return f"`{json.dumps(declared['default'])}`"
    return "" if declared.get("required") is False else "*required*"


def _anchor(name: str) -> str:
    """Return the anchor that the page's headings get."""
    return "".join(each for each in name.lower() if each.isalnum() or each in "-_")


if __name__ == "__main__":
    PAGES.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
