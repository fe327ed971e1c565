"""The ecosystem's AWS plugin from the package index: its wagon, built by our own tooling, and an environment for it.

The wagon has some 80 wheels and 50 MB: it is built once per version of that tooling, into ``.ci/cache/aws-plugin``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from outrider.plugins.wagons import build, source_digest
from outrider.plugins.wagons.errors import PipFailed
from tests.support.environments import EnvironmentFailed, environment

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".ci" / "cache" / "aws-plugin"
NAME, VERSION = "cloudify-aws-plugin", "3.1.7"
#: The published sources bring no plugin.yaml; this one names the operations that the tests use.
PLUGIN_YAML = Path(__file__).with_name("aws_plugin") / "plugin.yaml"
BLUEPRINT = Path(__file__).with_name("aws_plugin") / "blueprint.yaml"
#: What pip says if there is no index to ask, in contrast to a package that cannot be built.
NO_INDEX = ("NewConnectionError", "Temporary failure in name resolution", "No matching distribution found for")
#: The plugin pins distributions of which this Python is the newest with wheels.
PYTHON = (3, 11)


def aws_plugin_wagon() -> Path:
    """Return the wagon; skips the test where it cannot be built."""
    _require_python()
    folder = CACHE / source_digest(ROOT / "plugins" / "wagons")[:16]
    found = next(folder.glob("*.wgn"), None)
    if found is not None:
        return found
    shutil.rmtree(CACHE, ignore_errors=True)
    try:
        return build(f"{NAME}=={VERSION}", output_dir=folder).wagons[0].path
    except PipFailed as error:
        skip_without_index(error.output)
        raise


def aws_plugin_environment() -> Path:
    """Return the interpreter of an environment with what the plugin and its unit tests require.

    The plugin itself and the packages that the compatible facade stands for are not in it. Skips like the above.
    """
    _require_python()
    tools = ("setuptools<81", "wheel", "pytest", "mock")
    try:
        return environment([*tools, f"{NAME}=={VERSION}"], without=["cloudify-common", NAME])
    except EnvironmentFailed as error:
        skip_without_index(str(error))
        raise


def skip_without_index(output: str) -> None:
    """Skip the test if what pip printed says that there is no package index to ask."""
    if any(sign in output for sign in NO_INDEX):
        pytest.skip(f"the package index does not give {NAME} {VERSION}: {output.strip().splitlines()[-1]}")


def _require_python() -> None:
    if sys.version_info[:2] != PYTHON:
        pytest.skip("the plugin's pinned requirements install on Python 3.11")
