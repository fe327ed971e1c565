"""The design's table of who may import whom, import cycles, and the floors (standard library, Python 3.9)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ("sdk", "wagons", "script", "cloudify", "host", "aws", "docker", "ssh")

#: Package -> packages of ours that it may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "messaging": set(),
    "plugins": set(),
    "agent": {"messaging", "plugins"},
    "dispatcher": {"messaging", "plugins"},
    "installer": {"messaging", "plugins"},
    "manager_stub": {"dispatcher", "installer", "plugins", "messaging"},
    "cli": {"messaging", "plugins", "agent", "dispatcher", "installer", "manager_stub"},
}
#: What is copied into plugin environments: the standard library and each other.
STANDARD_LIBRARY_ONLY = ("plugins/sdk", "plugins/script", "plugins/host", "agent/runner")
#: Top-level folders; importing them bare works in the checkout only.
FOLDERS = set(MAY_IMPORT)


def modules() -> dict[str, Path]:
    """Return dotted module name -> file for everything that is installed."""
    found = {}
    for folder in MAY_IMPORT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "site" in parts or "templates" in parts or "tests" in parts:
                continue
            found[".".join(("outrider", *(p for p in parts if p != "__init__")))] = path
    return found


MODULES = modules()


def imports_of(path: Path, module: str) -> Iterator[tuple[str, int, bool]]:
    """Yield (imported module, line, whether it happens when the module is loaded)."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_type_checking(node)
        for inner in ast.walk(node)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        at_load = id(node) not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, at_load
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield (full if full in MODULES else base), node.lineno, at_load


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether the node is an ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_the_design_allows(folder: str) -> None:
    wrong = []
    for module, path in MODULES.items():
        if module.split(".")[1] != folder:
            continue
        for imported, line, _ in imports_of(path, module):
            parts = imported.split(".")
            if parts[0] == "outrider" and len(parts) > 1 and parts[1] not in MAY_IMPORT[folder] | {folder}:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_a_top_level_folder_bare() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}: write outrider.{imported}"
        for module, path in MODULES.items()
        for imported, line, _ in imports_of(path, module)
        if imported.split(".")[0] in FOLDERS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", STANDARD_LIBRARY_ONLY)
def test_what_is_copied_into_plugin_environments_needs_only_the_standard_library(folder: str) -> None:
    allowed = set(sys.stdlib_module_names) | {"outrider"}
    wrong = []
    for module, path in MODULES.items():
        if not str(path.relative_to(ROOT)).startswith(f"{folder}/"):
            continue
        for imported, line, at_load in imports_of(path, module):
            root = imported.split(".")[0]
            # A late import may look for what only a plugin's environment can bring (jinja2, the facade).
            if at_load and root not in allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {imported}")
            if root == "outrider" and not imported.startswith(("outrider.plugins.", "outrider.agent.runner")):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {imported}, which is not copied along")
    assert not wrong, "\n".join(wrong)


def test_there_are_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        graph[module] = {
            imported
            for imported, _, at_load in imports_of(path, module)
            if at_load and imported in MODULES and imported != module and not module.startswith(f"{imported}.")
        }
    assert not find_cycle(graph), " -> ".join(find_cycle(graph))


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return one cycle as a list of modules, or an empty list."""
    done: set[str] = set()
    for start, imports in graph.items():
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(imports)))]
        on_path = [start]
        while stack:
            module, following = stack[-1]
            for imported in following:
                if imported in on_path:
                    return [*on_path[on_path.index(imported) :], imported]
                if imported not in done:
                    stack.append((imported, iter(sorted(graph[imported]))))
                    on_path.append(imported)
                    break
            else:
                done.add(module)
                stack.pop()
                on_path.pop()
    return []


def test_the_cycle_finder_finds_a_cycle() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
