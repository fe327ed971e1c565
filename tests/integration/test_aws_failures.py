"""What goes wrong with AWS: nothing is made twice, nothing is left behind, and errors say what to do."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any, Callable

import pytest

from tests.support.aws import Fault, FaultyEndpoint, Moto
from tests.support.aws_nodes import AwsNode
from tests.support.ports import free_port

EC2 = "cloudify.nodes.aws.ec2."
VPC_CONFIG = {"CidrBlock": "10.20.0.0/16"}


def vpc_node(client_config: dict[str, Any], **more: Any) -> AwsNode:
    return AwsNode("vpc", f"{EC2}Vpc", client_config, VPC_CONFIG, **more)


def image_of(moto: Moto) -> str:
    return str(moto.client("ec2").describe_images()["Images"][0]["ImageId"])


#: A node of each way to be found again: by tags, by client token, by name, by place.
CREATED: dict[str, Callable[[Moto, dict[str, Any]], AwsNode]] = {
    "vpc": lambda _moto, config: vpc_node(config),
    "instance": lambda moto, config: AwsNode(
        "vm", f"{EC2}Instances", config, {"ImageId": image_of(moto), "InstanceType": "t3.micro"}
    ),
    "volume": lambda _moto, config: AwsNode(
        "volume", f"{EC2}EBSVolume", config, {"Size": 1, "AvailabilityZone": "eu-west-1a"}
    ),
    "elastic ip": lambda _moto, config: AwsNode("address", f"{EC2}ElasticIP", config),
    "key pair": lambda _moto, config: AwsNode("key", f"{EC2}Keypair", config),
    "key pair whose key is kept": lambda _moto, config: AwsNode(
        "key", f"{EC2}Keypair", config, properties={"store_in_runtime_properties": True}
    ),
    "bucket": lambda _moto, config: AwsNode("bucket", "cloudify.nodes.aws.s3.Bucket", config),
}


def grown(moto: Moto, before: list[str]) -> list[str]:
    return [each for each in moto.inventory() if each not in before]


@pytest.mark.parametrize("kind", CREATED)
def test_a_crash_between_create_and_save_makes_nothing_twice(kind: str, moto: Moto) -> None:
    node = CREATED[kind](moto, moto.client_config)
    before = moto.inventory()
    # The first save is the intention; the process dies before the one with the id.
    node.crash("create", saves=1)
    assert "aws_resource_id" not in node.runtime_properties
    first = grown(moto, before)
    node.do("create")
    made = grown(moto, before)
    assert len(made) == len(first)
    if "kept" in kind:
        assert "PRIVATE KEY" in node.runtime_properties["KeyMaterial"]
    assert node.do("check_drift").value is None or kind == "bucket"
    node.do("delete")
    assert grown(moto, before) == []


@pytest.mark.parametrize("kind", CREATED)
def test_what_a_crash_left_is_removed_by_delete(kind: str, moto: Moto) -> None:
    node = CREATED[kind](moto, moto.client_config)
    before = moto.inventory()
    node.crash("create", saves=1)
    assert grown(moto, before)
    node.do("delete")
    assert grown(moto, before) == []


def everything(moto: Moto) -> list[str]:
    """Return what there is: `Moto.inventory`, load balancers and what belongs to them, and what IAM has."""
    elb, iam = moto.client("elbv2"), moto.client("iam")
    balancers = [each["LoadBalancerArn"] for each in elb.describe_load_balancers()["LoadBalancers"]]
    listeners = [
        each["ListenerArn"] for arn in balancers for each in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    ]
    return [
        *moto.inventory(),
        *balancers,
        *listeners,
        *(each["TargetGroupArn"] for each in elb.describe_target_groups()["TargetGroups"]),
        *(each["RuleArn"] for arn in listeners for each in elb.describe_rules(ListenerArn=arn)["Rules"]),
        *(each["RoleName"] for each in iam.list_roles()["Roles"]),
        *(each["Arn"] for each in iam.list_policies(Scope="Local")["Policies"]),
        *(each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]),
    ]


def a_world(moto: Moto) -> list[AwsNode]:
    """Return a node of each type that makes something of its own, each after those that it needs."""
    config, elb, iam = moto.client_config, "cloudify.nodes.aws.elb.", "cloudify.nodes.aws.iam."
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    vpc = vpc_node(config)
    gateway = AwsNode("gateway", f"{EC2}InternetGateway", config, related=[vpc])
    subnets = [
        AwsNode(
            f"subnet_{zone}",
            f"{EC2}Subnet",
            config,
            {"CidrBlock": f"10.20.{number}.0/24", "AvailabilityZone": f"eu-west-1{zone}"},
            related=[vpc],
        )
        for number, zone in enumerate("ab")
    ]
    group = AwsNode("group", f"{EC2}SecurityGroup", config, {"GroupName": "g", "Description": "g"}, related=[vpc])
    interface = AwsNode("interface", f"{EC2}Interface", config, related=[subnets[0], group])
    address = AwsNode("address", f"{EC2}ElasticIP", config)
    nat = AwsNode("nat", f"{EC2}NATGateway", config, related=[subnets[0], address])
    table = AwsNode("table", f"{EC2}RouteTable", config, related=[vpc, subnets[0]])
    balancer = AwsNode("balancer", f"{elb}LoadBalancer", config, {"Name": "web"}, related=subnets)
    targets = AwsNode(
        "targets", f"{elb}TargetGroup", config, {"Name": "web", "Protocol": "HTTP", "Port": 80}, related=[vpc]
    )
    listener = AwsNode(
        "listener", f"{elb}Listener", config, {"Protocol": "HTTP", "Port": 80}, related=[balancer, targets]
    )
    role = AwsNode(
        "role", f"{iam}Role", config, {"RoleName": "web", "AssumeRolePolicyDocument": {"Statement": [statement]}}
    )
    policy = AwsNode("policy", f"{iam}Policy", config, {"PolicyName": "read", "PolicyDocument": allowed})
    profile = AwsNode("profile", f"{iam}InstanceProfile", config, related=[role])
    return [
        vpc,
        gateway,
        *subnets,
        group,
        interface,
        address,
        nat,
        table,
        balancer,
        targets,
        listener,
        role,
        policy,
        profile,
    ]


def test_any_resource_survives_a_crash_and_the_use_by_others_and_leaves_nothing(moto: Moto) -> None:
    before, nodes = everything(moto), a_world(moto)
    for node in nodes:
        node.crash("create", saves=1)
        node.do("create")
    # A listener comes with a rule of its own.
    assert len(everything(moto)) == len(before) + len(nodes) + 1
    for node in nodes:
        external = {"use_external_resource": True, "resource_id": node.id}
        elsewhere = replace(node, name="elsewhere", resource_config={}, properties=external, runtime_properties={})
        elsewhere.do("create")
        assert (elsewhere.id, elsewhere.do("check_drift").value) == (node.id, None)
        elsewhere.do("delete")
    for node in reversed(nodes):
        node.do("stop")
        node.do("delete")
    assert everything(moto) == before


def test_a_resource_is_found_by_its_tags_alone(moto: Moto) -> None:
    node = vpc_node(moto.client_config)
    node.crash("create", saves=0)
    assert node.runtime_properties == {}
    node.do("create")
    assert len(moto.inventory()) == 1


def test_a_lost_answer_makes_nothing_twice(faulty: FaultyEndpoint, moto: Moto) -> None:
    node = vpc_node(faulty.client_config)
    faulty.faults.append(Fault("CreateVpc", after=True))
    run = node.run("create")
    assert run.failed
    assert run.error is not None
    assert run.error["recoverable"]
    # The call itself was not repeated blindly.
    assert faulty.calls.count("CreateVpc") == 1
    node.do("create")
    assert faulty.calls.count("CreateVpc") == 1
    assert len(moto.inventory()) == 1


def test_creating_again_changes_nothing(moto: Moto) -> None:
    node = vpc_node(moto.client_config)
    node.do("create")
    first = node.id
    node.do("create")
    assert node.id == first
    assert len(moto.inventory()) == 1


def test_throttling_is_tried_again_later_each_time(faulty: FaultyEndpoint) -> None:
    node = vpc_node(faulty.client_config)
    faulty.faults.append(Fault("CreateVpc", code="RequestLimitExceeded", status=503, times=2))
    waits = []
    for number in (0, 6):
        run = node.run("create", retry_number=number)
        assert run.error is not None
        assert run.error["type"] == "Throttled"
        assert run.error["recoverable"]
        waits.append(run.retry_after)
    assert 1 <= waits[0] <= 2
    assert 60 <= waits[1] <= 120
    node.do("create")
    assert faulty.calls.count("CreateVpc") == 1


def test_throttled_reads_are_repeated_within_the_call(faulty: FaultyEndpoint) -> None:
    node = vpc_node(faulty.client_config)
    faulty.faults.append(Fault("DescribeVpcs", code="RequestLimitExceeded", status=503))
    node.do("create")


def test_an_endpoint_that_is_away_is_tried_again(moto: Moto) -> None:
    run = vpc_node({**moto.client_config, "endpoint_url": f"http://127.0.0.1:{free_port()}"}).run("create")
    assert run.error is not None
    assert run.error["type"] == "EndpointAway"
    assert run.error["recoverable"]
    assert run.retry_after


def test_an_endpoint_that_never_answers_is_given_up_in_time(moto: Moto) -> None:
    limits = {"read_timeout": 1, "retries": {"total_max_attempts": 1}}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run = vpc_node({**moto.client_config, "endpoint_url": url, "additional_config": limits}).run("create")
    assert run.error is not None
    assert run.error["type"] == "EndpointAway"
    assert run.error["recoverable"]
    assert moto.inventory() == []


def test_wrong_credentials_end_the_operation(moto: Moto) -> None:
    with moto.checking_credentials():
        run = vpc_node(moto.client_config).run("create")
    assert run.error is not None
    assert run.error["type"] == "AccessRefused"
    assert not run.error["recoverable"]
    assert "AuthFailure" in run.error["message"]
    assert moto.inventory() == []


def test_missing_credentials_say_where_to_give_them(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    run = vpc_node({"endpoint_url": moto.url, "region_name": "eu-west-1"}).run("create")
    assert run.error is not None
    assert not run.error["recoverable"]
    assert "client_config" in run.error["message"]


def test_the_usual_chain_gives_credentials(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    vpc_node({"endpoint_url": moto.url}).do("create")


@pytest.mark.parametrize("code", ["VpcLimitExceeded", "AddressLimitExceeded", "ServiceQuotaExceededException"])
def test_a_quota_ends_the_operation_with_the_code(code: str, faulty: FaultyEndpoint, moto: Moto) -> None:
    faulty.faults.append(Fault("CreateVpc", code=code))
    run = vpc_node(faulty.client_config).run("create")
    assert run.error is not None
    assert run.error["type"] == "QuotaExceeded"
    assert code in run.error["message"]
    assert not run.error["recoverable"]
    assert moto.inventory() == []


def test_a_wrong_argument_ends_the_operation(moto: Moto) -> None:
    run = AwsNode("vpc", f"{EC2}Vpc", moto.client_config, {"CidrBlock": "10.0.0.0/16", "Cidr": "x"}).run("create")
    assert run.error is not None
    assert not run.error["recoverable"]
    assert "Cidr" in run.error["message"]


def test_a_resource_that_is_in_use_is_removed_later(moto: Moto) -> None:
    vpc = vpc_node(moto.client_config)
    vpc.do("create")
    subnet = moto.client("ec2").create_subnet(VpcId=vpc.id, CidrBlock="10.20.1.0/24")["Subnet"]["SubnetId"]
    run = vpc.run("delete")
    assert run.rescheduled
    assert run.retry_after
    assert run.error is not None
    assert "DependencyViolation" in run.error["message"]
    moto.client("ec2").delete_subnet(SubnetId=subnet)
    vpc.do("delete")
    assert moto.inventory() == []


def test_a_resource_that_is_gone_is_deleted_quietly(moto: Moto) -> None:
    vpc = vpc_node(moto.client_config)
    vpc.do("create")
    moto.client("ec2").delete_vpc(VpcId=vpc.id)
    vpc.do("delete")
    assert vpc.runtime_properties == {}


def test_deleting_what_was_never_made_is_nothing(moto: Moto) -> None:
    vpc_node(moto.client_config).do("delete")


def test_a_name_that_is_taken_is_neither_used_nor_removed(moto: Moto) -> None:
    moto.client("ec2").create_key_pair(KeyName="theirs")
    key = AwsNode("key", f"{EC2}Keypair", moto.client_config, {"KeyName": "theirs"})
    run = key.run("create")
    assert run.error is not None
    assert run.error["type"] == "NotOurs"
    key.do("delete")
    assert moto.inventory() == ["theirs"]


def test_an_existing_resource_may_be_used(moto: Moto) -> None:
    moto.client("ec2").create_key_pair(KeyName="theirs")
    key = AwsNode("key", f"{EC2}Keypair", moto.client_config, {"KeyName": "theirs"}, {"use_if_exists": True})
    key.do("create")
    assert key.id == "theirs"
    key.do("delete")
    assert moto.inventory() == ["theirs"]


def test_an_external_resource_is_neither_made_nor_removed(moto: Moto) -> None:
    theirs = moto.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    node = vpc_node(moto.client_config, properties={"use_external_resource": True, "resource_id": theirs})
    node.do("create")
    assert node.id == theirs
    assert node.runtime_properties["create_response"]["CidrBlock"] == "10.0.0.0/16"
    node.do("delete")
    assert moto.inventory() == [theirs]


def test_an_external_resource_that_is_missing_is_an_error_or_is_made(moto: Moto) -> None:
    external = {"use_external_resource": True, "resource_id": "vpc-00000000"}
    run = vpc_node(moto.client_config, properties=external).run("create")
    assert run.error is not None
    assert run.error["type"] == "ResourceMissing"
    assert "create_if_missing" in run.error["message"]
    node = vpc_node(moto.client_config, properties={**external, "create_if_missing": True})
    node.do("create")
    assert moto.inventory() == [node.id]
    node.do("create")
    node.do("delete")
    assert moto.inventory() == []


def test_user_data_is_not_stored(moto: Moto) -> None:
    config = {"ImageId": image_of(moto), "InstanceType": "t3.micro", "UserData": "password: secret"}
    machine = AwsNode("vm", f"{EC2}Instances", moto.client_config, config)
    run = machine.do("create")
    assert "UserData" not in machine.runtime_properties["resource_config"]
    assert "password: secret" not in str(run.stored)
