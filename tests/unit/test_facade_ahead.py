"""What is made once in the runner is not made again by each operation; and nothing of an account is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outrider.plugins.cloudify import site_path

ROOT = Path(next(iter(__import__("outrider").__path__))).parent

#: A plugin whose module is named after a service; then what the runner does, and what an operation's process does.
AWS = """
import json, sys, types
import boto3
sys.modules["some_plugin.sqs.queues"] = types.ModuleType("some_plugin.sqs.queues")
import outrider_facade.ahead

def refuse(*_args, **_kwargs):
    raise AssertionError("a description is parsed again")

json.loads, parse = refuse, json.loads
account = {"region_name": "eu-west-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
client = boto3.client("sqs", **account)
assert client.meta.region_name == "eu-west-1"
assert client._request_signer._credentials.access_key == "key"
assert client.meta.service_model.operation_model("SendMessage").name == "SendMessage"
json.loads = parse
assert boto3.client("batch", **account).meta.service_model.service_name == "batch"
"""
COMPATIBLE = """
import sys
import cloudify
import outrider_facade.ahead
assert "cloudify.context" in sys.modules
assert "botocore" not in sys.modules
"""
NEITHER = """
import sys
import outrider_facade.ahead
assert not {"cloudify", "botocore"}.intersection(sys.modules)
"""
BROKEN = """
import sys, types
sys.modules["botocore"] = types.ModuleType("botocore")
import outrider_facade.ahead
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site_path()), str(ROOT)])}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_an_operation_parses_no_description_that_the_runner_has_parsed_and_has_its_own_account() -> None:
    pytest.importorskip("boto3", reason="it is the library that plugins bring; hosts need not have it")
    done = run(AWS)
    assert done.returncode == 0, done.stderr


def test_the_interface_is_imported_ahead_where_a_plugin_uses_it() -> None:
    done = run(COMPATIBLE)
    assert done.returncode == 0, done.stderr


def test_other_plugins_are_left_alone() -> None:
    done = run(NEITHER)
    assert done.returncode == 0, done.stderr


def test_a_library_that_is_made_differently_is_said_and_stops_nothing() -> None:
    done = run(BROKEN)
    assert done.returncode == 0, done.stderr
    assert "nothing was read ahead for botocore" in done.stderr
