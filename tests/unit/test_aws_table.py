"""Every row of the table, checked against the service models of botocore: no call or argument is made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
import pytest
import yaml
from botocore import xform_name

from outrider.plugins.aws.row import Call, Row
from outrider.plugins.aws.table import ROWS

PLUGIN_YAML = Path(__file__).resolve().parents[2] / "plugins" / "aws" / "plugin.yaml"
SESSION = botocore.session.get_session()


def calls_of(row: Row) -> Iterator[Call]:
    yield row.create
    for read in (row.read, row.search):
        if read is not None:
            yield read.call
    for call in (row.delete, row.modify):
        if call is not None:
            yield call
    for link in row.links:
        yield from (call for call in (link.attach, link.detach, link.listing) if call is not None)


def arguments_of(row: Row, method: str) -> set[str]:
    model = SESSION.get_service_model(row.service)
    names = {xform_name(name): name for name in model.operation_names}
    assert method in names, f"{row.service} has no {method}"
    shape = model.operation_model(names[method]).input_shape
    return set(shape.members) if shape is not None else set()


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.type_name)
def test_calls_and_their_arguments_exist(row: Row) -> None:
    for call in calls_of(row):
        assert set(call.arguments) <= arguments_of(row, call.method), call.method


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.type_name)
def test_the_create_call_takes_what_the_row_gives_it(row: Row) -> None:
    taken = arguments_of(row, row.create.method)
    given = {fill.argument for fill in row.fills} | {row.named_by, row.idempotent_by} - {""}
    if row.tagging is not None:
        given.add(row.tagging.argument)
    assert given - {""} <= taken


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.type_name)
def test_paths_are_jmespath(row: Row) -> None:
    paths = [row.answer, row.id, row.arn, *row.notes.values(), *(link.ties for link in row.links)]
    paths += [fill.shape for fill in row.fills] + [read.found for read in (row.read, row.search) if read]
    paths += [row.states.path] if row.states else []
    for path in paths:
        if path:
            jmespath.compile(re.sub(r"\$[\w.]+", "1", path))


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.type_name)
def test_a_row_says_how_its_resource_is_known(row: Row) -> None:
    assert row.id or row.named_by
    assert row.read or row.look or row.replaces


def plugin_yaml() -> dict[str, Any]:
    return dict(yaml.safe_load(PLUGIN_YAML.read_text(encoding="utf-8")))


def test_every_row_has_a_node_type_and_every_aws_type_has_a_row() -> None:
    types = plugin_yaml()["node_types"]
    assert set(ROWS) <= set(types)

    def ancestors(name: str) -> Iterator[str]:
        while name in types:
            yield name
            name = types[name]["derived_from"]

    bases = {types[name]["derived_from"] for name in types}
    assert [name for name in types if name not in bases and not set(ancestors(name)) & set(ROWS)] == []


#: What blueprints of the ecosystem are made of.
PROMISED = """
ec2: Instances Keypair SecurityGroup SecurityGroupRuleIngress SecurityGroupRuleEgress ElasticIP EBSVolume EBSAttachment
ec2: Interface Vpc Subnet RouteTable Route InternetGateway NATGateway Tags Image
elb: LoadBalancer TargetGroup Listener Rule
s3: Bucket BucketObject BucketPolicy
iam: Role Policy RolePolicy InstanceProfile
"""


def test_what_blueprints_are_made_of_is_there_and_can_be_checked_and_be_external() -> None:
    types = plugin_yaml()["node_types"]
    lines = [line.partition(": ") for line in PROMISED.strip().splitlines()]
    named = [f"cloudify.nodes.aws.{service}.{name}" for service, _, names in lines for name in names.split()]
    for name in [*named, "outrider.nodes.aws.CloudControlResource"]:
        operations: set[str] = set()
        properties: set[str] = set()
        ancestor = name
        while ancestor in types:
            properties |= set(types[ancestor].get("properties") or {})
            operations |= {each for of in (types[ancestor].get("interfaces") or {}).values() for each in of}
            ancestor = types[ancestor]["derived_from"]
        assert {"check_drift", "check_status"} <= operations, name
        assert {"use_external_resource", "resource_id", "client_config", "resource_config"} <= properties, name


def test_every_operation_that_plugin_yaml_names_exists() -> None:
    from outrider.plugins.aws import operations

    text = PLUGIN_YAML.read_text(encoding="utf-8")
    named = set(re.findall(r"aws\.outrider\.plugins\.aws\.operations\.(\w+)", text))
    assert named
    for name in named:
        assert getattr(operations, name).resumable
