"""Blueprints and plugin files that others published on the package index are read as they are.

Downloaded by name, version and hash; nothing of them is kept in this repository.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from outrider.dispatcher.blueprint import lint, load, mermaid, prepare_deployment, read_plugin_yaml, svg

PLUGIN = ("mec-plugin-cloudify==0.0.4", "fa520f6ed2e359e245b835525ba132f5a2f6d23c593d534ef7ddf28cca8ccf81")
BLUEPRINT = ("clue==0.40", "c367009134e86fb8bcafa6d65bda25c01a7d7f3b8cce368fdde4751d7e7efe96")


def unpacked(package: tuple[str, str], folder: Path) -> Path:
    """Download a source distribution, check its hash, and return its folder; skip when there is no index."""
    requirement, digest = package
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", str(folder)]
    command = [sys.executable, "-m", "pip", "download", "-q", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode != 0:
        pytest.skip(f"{requirement} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    archive = next(folder.glob("*.tar.gz"))
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == digest
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def test_a_published_plugin_yaml_tells_what_it_brings(tmp_path: Path) -> None:
    folder = unpacked(PLUGIN, tmp_path)
    read = read_plugin_yaml((folder / "plugin.yaml").read_text(encoding="utf-8"))
    assert read.plugins["mec-plugin-cloudify"]["package_version"] == "0.0.3"
    assert "cloudify.mec.rules.redirect_by_name" in read.node_types


def test_a_published_blueprint_becomes_a_deployment(tmp_path: Path) -> None:
    folder = unpacked(BLUEPRINT, tmp_path)
    blueprint = load(folder / "clue" / "blueprint" / "cloudify-dev" / "blueprint.yaml")
    inputs = {name: "x" for name, schema in blueprint.plan["inputs"].items() if "default" not in (schema or {})}
    prepared = prepare_deployment(blueprint.plan, inputs=inputs)
    assert len(prepared["nodes"]) == 6
    assert len(prepared["node_instances"]) >= 6
    assert mermaid(prepared).startswith("flowchart")
    assert svg(prepared).startswith("<svg")
    assert all(warning.rule for warning in lint(blueprint))
