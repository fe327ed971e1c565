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
#: Two operations' clients, of which the second's maker adds a method to its class and takes one away.
CLASSES = """
import sys, types
import boto3, botocore.session
from botocore import client, compat
sys.modules["some_plugin.sqs.queues"] = types.ModuleType("some_plugin.sqs.queues")
import outrider_facade.ahead

def refuse(*_args, **_kwargs):
    raise AssertionError("what follows from a description is made again")

client.ClientCreator._create_api_method = refuse
compat.inspect.getfullargspec, inspected = refuse, compat.inspect.getfullargspec
account = {"region_name": "eu-west-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
one = boto3.client("sqs", **account)
compat.inspect.getfullargspec = inspected

def change(class_attributes, **_others):
    class_attributes["shout"] = lambda self: "!"
    del class_attributes["send_message"]

session = botocore.session.get_session()
session.get_component("event_emitter").register("creating-client-class.sqs", change)
other = boto3.session.Session(botocore_session=session).client("sqs", **account)
assert other.shout() == "!" and not hasattr(other, "send_message")
last = boto3.session.Session().client("sqs", **account)
for normal in (one, last):
    assert callable(normal.send_message) and not hasattr(normal, "shout")
assert one.meta.events is not last.meta.events
assert one.can_paginate("list_queues")
"""
#: Which TLS contexts clients get, and how many of them are made in an operation's process.
CONTEXTS = """
import sys, types
import boto3, botocore.httpsession
sys.modules["some_plugin.sqs.queues"] = types.ModuleType("some_plugin.sqs.queues")
import outrider_facade.ahead

made = []
make = botocore.httpsession.SSLContext
botocore.httpsession.SSLContext = lambda *args: made.append(make(*args)) or made[-1]
account = {"region_name": "eu-west-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
contexts = [
    boto3.client("sqs", **account)._endpoint.http_session._manager.connection_pool_kw["ssl_context"] for _ in range(3)
]
assert len({id(context) for context in contexts}) == 3
assert made == contexts[1:]
assert {context.verify_mode for context in contexts} == {contexts[1].verify_mode}
assert {context.options for context in contexts} == {contexts[1].options}
assert not contexts[0].get_ca_certs()
"""
#: Arguments by name, as boto3 itself gives them.
BY_NAME = """
import sys, types
import boto3
sys.modules["some_plugin.sqs.queues"] = types.ModuleType("some_plugin.sqs.queues")
import outrider_facade.ahead
assert "sqs" in boto3.session.Session().get_available_resources()
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


@pytest.mark.parametrize("program", [AWS, CLASSES, CONTEXTS, BY_NAME], ids=["account", "class", "tls", "by name"])
def test_an_operation_makes_nothing_that_the_runner_has_made_and_has_all_of_its_own(program: str) -> None:
    pytest.importorskip("boto3", reason="it is the library that plugins bring; hosts need not have it")
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "nothing was read ahead" not in done.stderr


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
