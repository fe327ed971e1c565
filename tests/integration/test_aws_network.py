"""Networks, machines, addresses and volumes: made, tied, checked and removed on moto's server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.aws import REGION, Moto
from tests.support.aws_nodes import AwsNode, relate

EC2 = "cloudify.nodes.aws.ec2."
ZONE = f"{REGION}a"


@pytest.fixture
def network(moto: Moto) -> dict[str, AwsNode]:
    """A VPC with a subnet, made."""
    config = moto.client_config
    vpc = AwsNode("vpc", f"{EC2}Vpc", config, {"CidrBlock": "10.10.0.0/16"})
    subnet = AwsNode(
        "subnet", f"{EC2}Subnet", config, {"CidrBlock": "10.10.1.0/24", "AvailabilityZone": ZONE}, related=[vpc]
    )
    vpc.do("create")
    subnet.do("create")
    return {"vpc": vpc, "subnet": subnet}


def own_resources(moto: Moto) -> list[str]:
    """Return what the server has of ours, that is not gone."""
    return moto.inventory()


def instance_of(network: dict[str, AwsNode], moto: Moto, **more: Any) -> AwsNode:
    image = moto.client("ec2").describe_images()["Images"][0]["ImageId"]
    config = {"ImageId": image, "InstanceType": "t3.micro", **more}
    return AwsNode("vm", f"{EC2}Instances", moto.client_config, config, related=[network["subnet"]])


def test_a_vpc_is_tagged_with_whose_it_is(network: dict[str, AwsNode], moto: Moto) -> None:
    found = moto.client("ec2").describe_vpcs(VpcIds=[network["vpc"].id])["Vpcs"][0]
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["outrider:instance"] == "vpc_1"
    assert tags["outrider:deployment"] == "deployment"
    assert network["vpc"].runtime_properties["create_response"]["CidrBlock"] == "10.10.0.0/16"


def test_tags_of_the_blueprint_are_set(moto: Moto) -> None:
    vpc = AwsNode(
        "vpc",
        f"{EC2}Vpc",
        moto.client_config,
        {"kwargs": {"CidrBlock": "10.0.0.0/16"}},
        {"Tags": [{"Key": "Name", "Value": "mine"}]},
    )
    vpc.do("create")
    found = moto.client("ec2").describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]
    assert {"Key": "Name", "Value": "mine"} in found["Tags"]


def test_a_subnet_takes_its_vpc_from_the_relationship(network: dict[str, AwsNode], moto: Moto) -> None:
    found = moto.client("ec2").describe_subnets(SubnetIds=[network["subnet"].id])["Subnets"][0]
    assert found["VpcId"] == network["vpc"].id
    assert network["subnet"].runtime_properties["availability_zone"] == ZONE


def test_a_whole_network_comes_and_goes(network: dict[str, AwsNode], moto: Moto) -> None:
    vpc, subnet, config = network["vpc"], network["subnet"], moto.client_config
    gateway = AwsNode("igw", f"{EC2}InternetGateway", config, related=[vpc])
    table = AwsNode("table", f"{EC2}RouteTable", config, related=[vpc, subnet])
    destination = {"kwargs": {"DestinationCidrBlock": "0.0.0.0/0"}}
    route = AwsNode("route", f"{EC2}Route", config, destination, related=[table, gateway])
    address = AwsNode("address", f"{EC2}ElasticIP", config)
    nat = AwsNode("nat", f"{EC2}NATGateway", config, related=[subnet, address])
    order = [gateway, table, route, address, nat]
    for node in order:
        node.do("create")
        node.do("start")
        node.do("start")
    ec2 = moto.client("ec2")
    found = ec2.describe_route_tables(RouteTableIds=[table.id])["RouteTables"][0]
    assert [each["SubnetId"] for each in found["Associations"] if "SubnetId" in each] == [subnet.id]
    assert any(each.get("GatewayId") == gateway.id for each in found["Routes"])
    assert route.id == f"{table.id}_0.0.0.0/0"
    assert nat.runtime_properties["public_ip_address"] == address.id
    for node in (*reversed(order), subnet, vpc):
        assert node.do("check_drift").value is None
        node.do("stop")
        node.do("delete")
        assert node.runtime_properties == {}
    assert own_resources(moto) == []


def test_rules_are_added_once_and_revoked(network: dict[str, AwsNode], moto: Moto) -> None:
    ec2 = moto.client("ec2")
    group = AwsNode("group", f"{EC2}SecurityGroup", moto.client_config, {"GroupName": "web"}, related=[network["vpc"]])
    group.do("create")
    ports = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port} for port in (22, 80)]
    permissions = [{**port, "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "192.168.0.0/16"}]} for port in ports]
    # Somebody was faster with one of them.
    ec2.authorize_security_group_ingress(
        GroupId=group.id, IpPermissions=[{**ports[0], "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    )
    rules = AwsNode(
        "rules",
        f"{EC2}SecurityGroupRuleIngress",
        moto.client_config,
        {"IpPermissions": permissions},
        related=[group],
    )
    rules.do("create")
    rules.do("create")
    found = ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]["IpPermissions"]
    assert sorted((each["FromPort"], len(each["IpRanges"])) for each in found) == [(22, 2), (80, 2)]
    assert rules.do("check_drift").value is None
    ec2.revoke_security_group_ingress(
        GroupId=group.id, IpPermissions=[{**ports[1], "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    )
    drift = rules.do("check_drift").value
    assert [rule["FromPort"] for rule in drift["IpPermissions"]["missing"]] == [80]
    rules.do("delete")
    assert ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]["IpPermissions"] == []


def test_egress_rules_are_added_on_the_other_side(network: dict[str, AwsNode], moto: Moto) -> None:
    group = AwsNode("group", f"{EC2}SecurityGroup", moto.client_config, related=[network["vpc"]])
    group.do("create")
    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    config = {"IpPermissions": [permission]}
    rules = AwsNode("out", f"{EC2}SecurityGroupRuleEgress", moto.client_config, config, related=[group])
    rules.do("create")
    ec2 = moto.client("ec2")
    egress = ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert any(each.get("FromPort") == 443 for each in egress)
    rules.do("delete")
    egress = ec2.describe_security_groups(GroupIds=[group.id])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert not any(each.get("FromPort") == 443 for each in egress)


def test_an_instance_notes_its_addresses(network: dict[str, AwsNode], moto: Moto) -> None:
    machine = instance_of(network, moto)
    machine.do("create")
    machine.do("start")
    noted = machine.runtime_properties
    assert noted["state"] == "running"
    assert noted["ip"] == noted["private_ip_address"]
    assert noted["ip"].startswith("10.10.1.")
    machine.do("stop")
    state = moto.client("ec2").describe_instances(InstanceIds=[machine.id])["Reservations"][0]["Instances"][0]["State"]
    assert state["Name"] == "stopped"
    machine.do("start")
    assert machine.runtime_properties["state"] == "running"
    machine.do("stop")
    machine.do("delete")
    assert not any(name.startswith("i-") for name in own_resources(moto))


def test_an_instance_takes_related_nodes_as_its_arguments(network: dict[str, AwsNode], moto: Moto) -> None:
    config = moto.client_config
    key = AwsNode("key", f"{EC2}Keypair", config, properties={"store_in_runtime_properties": True})
    group = AwsNode("group", f"{EC2}SecurityGroup", config, related=[network["vpc"]])
    interface = AwsNode("nic", f"{EC2}Interface", config, related=[network["subnet"], group])
    address = AwsNode("address", f"{EC2}ElasticIP", config, related=[interface])
    machine = instance_of(network, moto)
    machine.related = [network["subnet"], group, key, interface]
    machine.properties = {"use_public_ip": True}
    for node in (key, group, interface, address, machine):
        node.do("create")
        node.do("start")
    assert "PRIVATE KEY" in key.runtime_properties["KeyMaterial"]
    found = moto.client("ec2").describe_instances(InstanceIds=[machine.id])["Reservations"][0]["Instances"][0]
    assert found["KeyName"] == key.id
    assert [each["NetworkInterfaceId"] for each in found["NetworkInterfaces"]] == [interface.id]
    assert address.runtime_properties["allocation_id"].startswith("eipalloc-")
    for node in (machine, address, interface, group, key):
        node.do("stop")
        node.do("delete")
    assert own_resources(moto) == sorted([network["vpc"].id, network["subnet"].id])


def test_the_address_of_an_instance_is_its_elastic_ip(network: dict[str, AwsNode], moto: Moto) -> None:
    machine = instance_of(network, moto)
    machine.do("create")
    address = AwsNode("address", f"{EC2}ElasticIP", moto.client_config, related=[machine])
    address.do("create")
    address.do("start")
    machine.properties = {"use_public_ip": True}
    machine.do("refresh")
    assert machine.runtime_properties["ip"] == address.id
    assert machine.runtime_properties["public_ip_address"] == address.id
    address.do("stop")
    address.do("delete")
    assert moto.client("ec2").describe_addresses()["Addresses"] == []


def test_more_than_one_machine_in_a_node_is_refused(network: dict[str, AwsNode], moto: Moto) -> None:
    run = instance_of(network, moto, MaxCount=3).run("create")
    assert run.error is not None
    assert "scale the node" in run.error["message"]
    assert not run.error["recoverable"]


def test_a_volume_is_attached_by_a_node(network: dict[str, AwsNode], moto: Moto) -> None:
    machine = instance_of(network, moto)
    machine.do("create")
    volume = AwsNode("volume", f"{EC2}EBSVolume", moto.client_config, {"Size": 6}, related=[network["subnet"]])
    volume.do("create")
    attachment = AwsNode(
        "attachment",
        f"{EC2}EBSAttachment",
        moto.client_config,
        {"kwargs": {"Device": "/dev/sdh"}},
        related=[volume, machine],
    )
    attachment.do("create")
    attachment.do("create")
    ec2 = moto.client("ec2")
    attached = ec2.describe_volumes(VolumeIds=[volume.id])["Volumes"][0]["Attachments"]
    assert [each["InstanceId"] for each in attached] == [machine.id]
    attachment.do("delete")
    assert ec2.describe_volumes(VolumeIds=[volume.id])["Volumes"][0]["Attachments"] == []
    identifier = volume.id
    volume.do("delete")
    assert identifier not in own_resources(moto)


def test_a_volume_is_attached_by_a_relationship(network: dict[str, AwsNode], moto: Moto) -> None:
    machine = instance_of(network, moto)
    machine.do("create")
    config = {"Size": 6, "AvailabilityZone": ZONE}
    volume = AwsNode("volume", f"{EC2}EBSVolume", moto.client_config, config, {"device_name": "/dev/sdh"})
    volume.do("create")
    relate("tie", volume, machine).value_or_raise()
    relate("tie", volume, machine).value_or_raise()
    ec2 = moto.client("ec2")
    assert len(ec2.describe_volumes(VolumeIds=[volume.id])["Volumes"][0]["Attachments"]) == 1
    relate("untie", volume, machine).value_or_raise()
    relate("untie", volume, machine).value_or_raise()
    assert ec2.describe_volumes(VolumeIds=[volume.id])["Volumes"][0]["Attachments"] == []


def test_a_tie_that_makes_no_sense_is_refused(network: dict[str, AwsNode]) -> None:
    run = relate("tie", network["vpc"], network["subnet"])
    assert run.error is not None
    assert "cannot be tied" in run.error["message"]


def test_related_resources_are_tagged_by_a_node(network: dict[str, AwsNode], moto: Moto) -> None:
    related = [network["vpc"], network["subnet"]]
    config = {"kwargs": {"Tags": [{"Key": "team", "Value": "blue"}]}}
    tags = AwsNode("tags", f"{EC2}Tags", moto.client_config, config, related=related)
    tags.do("create")
    ec2 = moto.client("ec2")
    tagged = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["team"]}])["Tags"]
    assert sorted(tag["ResourceId"] for tag in tagged) == sorted(node.id for node in related)
    tags.do("delete")
    assert ec2.describe_tags(Filters=[{"Name": "key", "Values": ["team"]}])["Tags"] == []


def test_an_image_is_found_by_filters(moto: Moto) -> None:
    expected = moto.client("ec2").describe_images()["Images"][3]
    config = {"kwargs": {"Filters": [{"Name": "image-id", "Values": [expected["ImageId"]]}]}}
    image = AwsNode("image", f"{EC2}Image", moto.client_config, config, {"use_external_resource": True})
    image.do("create")
    assert image.id == expected["ImageId"]
    image.do("delete")
    assert moto.client("ec2").describe_images(ImageIds=[expected["ImageId"]])["Images"]


def test_attributes_are_modified(network: dict[str, AwsNode], moto: Moto) -> None:
    vpc = network["vpc"]
    vpc.do("modify", resource_config={"EnableDnsHostnames": {"Value": True}})
    found = moto.client("ec2").describe_vpc_attribute(VpcId=vpc.id, Attribute="enableDnsHostnames")
    assert found["EnableDnsHostnames"]["Value"] is True


def test_what_changed_or_vanished_is_drift(network: dict[str, AwsNode], moto: Moto) -> None:
    vpc, subnet = network["vpc"], network["subnet"]
    assert vpc.do("check_drift").value is None
    assert vpc.do("check_status").value["status"] == "OK"
    ec2 = moto.client("ec2")
    ec2.delete_tags(Resources=[vpc.id], Tags=[{"Key": "outrider:instance"}])
    assert vpc.do("check_drift").value == {
        "Tags": {"expected": {"outrider:instance": "vpc_1"}, "found": {"outrider:instance": None}}
    }
    vpc.resource_config = {"CidrBlock": "10.99.0.0/16"}
    assert vpc.do("check_drift").value["CidrBlock"] == {"expected": "10.99.0.0/16", "found": "10.10.0.0/16"}
    ec2.delete_subnet(SubnetId=subnet.id)
    assert subnet.do("check_drift").value == {"missing": True}
    assert subnet.run("check_status").failed
    subnet.do("delete")
