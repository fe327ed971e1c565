"""The AWS plugin goes the whole way: wagon, registration, blueprint, dispatcher, agent, moto's endpoint, and back.

The wagon is built from `plugins/aws` with what it requires, through pip's index; the agent installs it into an
environment of its own when the first operation needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outrider.cli.home import Home
from outrider.cli.local import Local, opened
from outrider.cli.settings import CommandSettings, ConnectionSettings
from outrider.dispatcher.blueprint import Settings as BlueprintSettings
from outrider.dispatcher.files import ContentStore
from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.settings import EngineSettings
from outrider.dispatcher.store.executions import Status
from outrider.manager_stub.catalogue import TenantPlugins
from tests.support.aws import Moto
from tests.support.shipped_wagons import shipped_wagon

BLUEPRINT = """\
tosca_definitions_version: cloudify_dsl_1_3
imports: [cloudify/types/types.yaml, "plugin:outrider-plugin-aws"]
inputs:
  client_config: {}
  image: {}
  public_key: {}
node_types:
  node.Vpc:
    derived_from: cloudify.nodes.aws.ec2.Vpc
node_templates:
  vpc:
    type: node.Vpc
    properties:
      client_config: &client {get_input: client_config}
      resource_config: {CidrBlock: 10.10.0.0/16}
      Tags: [{Key: Name, Value: acceptance}]
  gateway:
    type: cloudify.nodes.aws.ec2.InternetGateway
    properties: {client_config: *client}
    relationships: [{type: cloudify.relationships.connected_to, target: vpc}]
  subnet:
    type: cloudify.nodes.aws.ec2.Subnet
    properties:
      client_config: *client
      resource_config: {CidrBlock: 10.10.1.0/24, AvailabilityZone: eu-west-1a}
    relationships:
      - {type: cloudify.relationships.depends_on, target: vpc}
      - {type: cloudify.relationships.depends_on, target: gateway}
  table:
    type: cloudify.nodes.aws.ec2.RouteTable
    properties: {client_config: *client}
    relationships:
      - {type: cloudify.relationships.contained_in, target: vpc}
      - {type: cloudify.relationships.connected_to, target: subnet}
  route:
    type: cloudify.nodes.aws.ec2.Route
    properties:
      client_config: *client
      resource_config: {kwargs: {DestinationCidrBlock: 0.0.0.0/0}}
    relationships:
      - {type: cloudify.relationships.contained_in, target: table}
      - {type: cloudify.relationships.connected_to, target: gateway}
  group:
    type: cloudify.nodes.aws.ec2.SecurityGroup
    properties:
      client_config: *client
      resource_config:
        GroupName: acceptance
        Description: For a test
        VpcId: {get_attribute: [vpc, aws_resource_id]}
    relationships: [{type: cloudify.relationships.depends_on, target: vpc}]
  rules:
    type: cloudify.nodes.aws.ec2.SecurityGroupRuleIngress
    properties:
      client_config: *client
      resource_config:
        IpPermissions:
          - {IpProtocol: tcp, FromPort: 22, ToPort: 22, IpRanges: [{CidrIp: 0.0.0.0/0}]}
          - {IpProtocol: tcp, FromPort: 443, ToPort: 443, IpRanges: [{CidrIp: 0.0.0.0/0}]}
    relationships: [{type: cloudify.relationships.contained_in, target: group}]
  key:
    type: cloudify.nodes.aws.ec2.Keypair
    properties:
      client_config: *client
      resource_config: {KeyName: acceptance, PublicKeyMaterial: {get_input: public_key}}
  interface:
    type: cloudify.nodes.aws.ec2.Interface
    properties:
      client_config: *client
      resource_config:
        kwargs:
          SubnetId: {get_attribute: [subnet, aws_resource_id]}
          Groups: [{get_attribute: [group, aws_resource_id]}]
    relationships:
      - {type: cloudify.relationships.depends_on, target: subnet}
      - {type: cloudify.relationships.depends_on, target: group}
  address:
    type: cloudify.nodes.aws.ec2.ElasticIP
    properties: {client_config: *client}
    relationships: [{type: cloudify.relationships.depends_on, target: interface}]
  vm:
    type: cloudify.nodes.aws.ec2.Instances
    properties:
      agent_config: {install_method: none}
      client_config: *client
      resource_config: {ImageId: {get_input: image}, InstanceType: t3.micro}
      use_public_ip: true
    relationships:
      - {type: cloudify.relationships.depends_on, target: key}
      - {type: cloudify.relationships.depends_on, target: interface}
      - {type: cloudify.relationships.depends_on, target: address}
  volume:
    type: cloudify.nodes.aws.ec2.EBSVolume
    properties:
      client_config: *client
      device_name: /dev/sdh
      resource_config: {AvailabilityZone: eu-west-1a, Size: 6}
    relationships: [{type: cloudify.relationships.aws.ebs.attachment.connected_to, target: vm}]
  bucket:
    type: cloudify.nodes.aws.s3.Bucket
    properties:
      client_config: *client
      resource_config: {Bucket: outrider-acceptance}
outputs:
  vpc: {value: {get_attribute: [vpc, aws_resource_id]}}
  vm: {value: {get_attribute: [vm, aws_resource_id]}}
  address: {value: {get_attribute: [address, aws_resource_id]}}
  ip: {value: {get_attribute: [vm, ip]}}
"""
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGS2rWv1rfKgE0XlNLYc1nWYvYtVXFqJQyqRrQ2UvYpM acceptance"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """Dispatcher and agent in this process, with the plugin registered."""
    home = Home(tmp_path / "home")
    engine = EngineSettings(max_retries=20, retry_interval_seconds=1.0)
    settings = CommandSettings(home, ConnectionSettings(), engine, {})
    with opened(settings) as running:
        register(running.dispatcher.database, ContentStore(home.files), shipped_wagon("aws"))
        yield running


def test_a_deployment_on_aws_comes_and_goes(local: Local, moto: Moto, tmp_path: Path) -> None:
    image = moto.client("ec2").describe_images()["Images"][0]["ImageId"]
    blueprint = tmp_path / "blueprint.yaml"
    blueprint.write_text(BLUEPRINT)
    dispatcher = local.dispatcher
    catalogue = TenantPlugins(dispatcher.database, dispatcher.tenant)
    dispatcher.create_blueprint("site", blueprint, settings=BlueprintSettings(plugins=catalogue))
    inputs = {"client_config": moto.client_config, "image": image, "public_key": PUBLIC_KEY}
    dispatcher.create_deployment("site", "site", inputs=inputs)

    installed = dispatcher.run("install", "site", timeout_seconds=600)
    assert installed.status is Status.TERMINATED, installed.error

    outputs = dispatcher.outputs("site")
    ec2 = moto.client("ec2")
    machine = ec2.describe_instances(InstanceIds=[outputs["vm"]])["Reservations"][0]["Instances"][0]
    assert machine["State"]["Name"] == "running"
    assert machine["VpcId"] == outputs["vpc"]
    assert machine["KeyName"] == "acceptance"
    assert outputs["ip"] == outputs["address"]
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags["outrider:deployment"] == "site"
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [outputs["vm"]]}])["Volumes"]
    assert {"/dev/sdh"} <= {each["Attachments"][0]["Device"] for each in volumes}
    assert "outrider-acceptance" in moto.inventory()

    for workflow in ("check_status", "check_drift"):
        checked = dispatcher.run(workflow, "site", timeout_seconds=300)
        assert checked.status is Status.TERMINATED, checked.error

    removed = dispatcher.run("uninstall", "site", timeout_seconds=600)
    assert removed.status is Status.TERMINATED, removed.error
    assert moto.inventory() == []
