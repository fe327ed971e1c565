"""The ecosystem's own command line, unmodified, in a virtual environment of its own that is kept between runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.environments import EnvironmentFailed, environment

VERSION = "7.0.5"
PYTHON = (3, 11)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")

#: Talks as much and as long as its inputs say; fails for nobody.
BLUEPRINT = """
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml]
inputs:
  name: {default: world}
  lines: {default: 1}
  pause: {default: 0}
node_templates:
  base:
    type: cloudify.nodes.Root
  service:
    type: cloudify.nodes.Root
    interfaces:
      cloudify.interfaces.lifecycle:
        create:
          implementation: scripts/create.sh
          inputs:
            name: {get_input: name}
            lines: {get_input: lines}
            pause: {get_input: pause}
    relationships:
      - {type: cloudify.relationships.depends_on, target: base}
outputs:
  greeting: {value: {get_attribute: [service, greeting]}}
capabilities:
  name: {value: {get_input: name}}
"""
SCRIPT = """#!/bin/bash
set -e
if [ "$name" = "nobody" ]; then echo "there is nobody" >&2; exit 3; fi
for number in $(seq "$lines"); do ctx logger info "line $number for $name"; done
sleep "$pause"
ctx instance runtime-properties greeting "hello $name"
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    output: str


def installed() -> Path:
    """Return the command; installs it at the first call, and skips the test where that is impossible."""
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"cfy {VERSION} needs Python 3.11 (its dependencies end there); this is {sys.version.split()[0]}")
    try:
        return environment([f"cloudify=={VERSION}", "setuptools<81"]).with_name("cfy")
    except EnvironmentFailed as error:
        pytest.skip(f"cloudify=={VERSION} cannot be installed from the configured package index: {error}")


@dataclass(frozen=True)
class Cfy:
    """The command with a state of its own."""

    command: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Its own state, and no deprecation notes of its dependencies."""
        return {**os.environ, "CFY_WORKDIR": str(self.folder), "PYTHONWARNINGS": "ignore", "COLUMNS": "400"}

    def run(self, *arguments: str, timeout: float = 120) -> Outcome:
        """Run it; output and errors together."""
        done = subprocess.run(
            [str(self.command), *arguments],
            env=self.environment,
            cwd=self.folder,
            timeout=timeout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def __call__(self, *arguments: str) -> str:
        """Run it and return what it printed; it has to succeed."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, f"cfy {' '.join(arguments)}: exit code {outcome.code}\n{outcome.output}"
        return outcome.output

    def fails(self, *arguments: str) -> str:
        """Run it and return what it printed; it has to fail."""
        outcome = self.run(*arguments)
        assert outcome.code != 0, f"cfy {' '.join(arguments)} succeeded\n{outcome.output}"
        return outcome.output

    def listed(self, *arguments: str) -> list[dict[str, object]]:
        """Return a list command's JSON."""
        output = self("--json", *arguments)
        return list(json.loads(output[output.index("[") :]))


def write_blueprint(folder: Path) -> Path:
    """Write the blueprint that most flows use; return its main file."""
    (folder / "scripts").mkdir()
    (folder / "blueprint.yaml").write_text(BLUEPRINT)
    (folder / "scripts" / "create.sh").write_text(SCRIPT)
    return folder / "blueprint.yaml"
