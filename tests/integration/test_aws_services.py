"""Load balancers, storage, identity on moto's server; Cloud Control, which moto lacks, on a fake and a Stubber."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from outrider.plugins.aws import client as client_module
from tests.support.aws import CREDENTIALS, CloudControl, Moto
from tests.support.aws_nodes import AwsNode, relate

EC2 = "cloudify.nodes.aws.ec2."
ELB = "cloudify.nodes.aws.elb."
S3 = "cloudify.nodes.aws.s3."
IAM = "cloudify.nodes.aws.iam."
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}


def test_a_load_balancer_with_its_target_group_comes_and_goes(moto: Moto) -> None:
    config = moto.client_config
    vpc = AwsNode("vpc", f"{EC2}Vpc", config, {"CidrBlock": "10.0.0.0/16"})
    subnets = [
        AwsNode(
            f"subnet{number}",
            f"{EC2}Subnet",
            config,
            {"CidrBlock": f"10.0.{number}.0/24", "AvailabilityZone": f"eu-west-1{zone}"},
            related=[vpc],
        )
        for number, zone in enumerate("ab")
    ]
    image = moto.client("ec2").describe_images()["Images"][0]["ImageId"]
    machine = AwsNode("vm", f"{EC2}Instances", config, {"ImageId": image}, related=[subnets[0]])
    balancer = AwsNode(
        "elb",
        f"{ELB}LoadBalancer",
        config,
        {"Name": "web", "kwargs": {"Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}]}},
        related=subnets,
    )
    group_config = {"Name": "web", "Protocol": "HTTP", "Port": "8080"}
    group = AwsNode("group", f"{ELB}TargetGroup", config, group_config, related=[vpc, machine])
    listener_config = {"Protocol": "HTTP", "Port": 80}
    listener = AwsNode("listener", f"{ELB}Listener", config, listener_config, related=[balancer, group])
    conditions = [{"Field": "path-pattern", "Values": ["/api"]}]
    rule = AwsNode("rule", f"{ELB}Rule", config, {"Priority": 7, "Conditions": conditions}, related=[listener])
    nodes = [vpc, *subnets, machine, balancer, group, listener, rule]
    for node in nodes:
        if node is rule:
            forward = {"Type": "forward", "TargetGroupArn": group.runtime_properties["aws_resource_arn"]}
            rule.resource_config = {**rule.resource_config, "Actions": [forward]}
        node.do("create")
        node.do("create")
        node.do("start")
    elb = moto.client("elbv2")
    assert balancer.id == "web"
    assert balancer.runtime_properties["dns_name"]
    arn = group.runtime_properties["aws_resource_arn"]
    targets = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [each["Target"]["Id"] for each in targets] == [machine.id]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer.runtime_properties["aws_resource_arn"])
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "120"} in attributes["Attributes"]
    # A crash before the id was noted: found again by its place.
    noted, listener.runtime_properties = (
        listener.runtime_properties,
        {key: listener.runtime_properties[key] for key in ("aws_client_token", "resource_config")},
    )
    listener.do("create")
    assert listener.id == noted["aws_resource_id"]
    for node in reversed(nodes):
        node.do("stop")
        node.do("delete")
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
    assert moto.inventory() == []


def test_a_bucket_and_its_objects_come_and_go(moto: Moto) -> None:
    bucket = AwsNode("bucket", f"{S3}Bucket", moto.client_config, {"Bucket": "of-a-test"})
    local = AwsNode(
        "local",
        f"{S3}BucketObject",
        moto.client_config,
        {"Key": "a.txt"},
        {"path": "files/a.txt"},
        related=[bucket],
        resources={"files/a.txt": "from the blueprint"},
    )
    inline = AwsNode(
        "inline",
        f"{S3}BucketObject",
        moto.client_config,
        {"Key": "b.txt", "kwargs": {"Body": "inline"}},
        {"source_type": "bytes"},
        related=[bucket],
    )
    policy = AwsNode("policy", f"{S3}BucketPolicy", moto.client_config, {"Policy": POLICY}, related=[bucket])
    nodes = [bucket, local, inline, policy]
    for node in nodes:
        node.do("create")
        node.do("create")
    s3 = moto.client("s3")
    assert s3.get_object(Bucket="of-a-test", Key="a.txt")["Body"].read() == b"from the blueprint"
    assert s3.get_object(Bucket="of-a-test", Key="b.txt")["Body"].read() == b"inline"
    assert json.loads(s3.get_bucket_policy(Bucket="of-a-test")["Policy"]) == POLICY
    assert bucket.runtime_properties["aws_resource_arn"] == "arn:aws:s3:::of-a-test"
    location = s3.get_bucket_location(Bucket="of-a-test")["LocationConstraint"]
    assert location == "eu-west-1"
    assert bucket.do("check_drift").value is None
    run = bucket.run("delete")
    assert run.error is not None
    assert "BucketNotEmpty" in run.error["message"]
    for node in reversed(nodes):
        node.do("delete")
    assert moto.inventory() == []


def test_an_object_that_was_never_given_says_what_to_give(moto: Moto) -> None:
    bucket = AwsNode("bucket", f"{S3}Bucket", moto.client_config, {"Bucket": "of-a-test"})
    bucket.do("create")
    run = AwsNode("empty", f"{S3}BucketObject", moto.client_config, {"Key": "a"}, related=[bucket]).run("create")
    assert run.error is not None
    assert "source_type" in run.error["message"]


def test_roles_policies_and_profiles_come_and_go(moto: Moto) -> None:
    config = moto.client_config
    policy = AwsNode("policy", f"{IAM}Policy", config, {"PolicyName": "read", "PolicyDocument": POLICY})
    role = AwsNode("role", f"{IAM}Role", config, {"RoleName": "web", "AssumeRolePolicyDocument": TRUST})
    inline = AwsNode(
        "inline", f"{IAM}RolePolicy", config, {"PolicyName": "inline", "PolicyDocument": POLICY}, related=[role]
    )
    profile = AwsNode("profile", f"{IAM}InstanceProfile", config, related=[role])
    nodes = [policy, role, inline, profile]
    for node in nodes:
        node.do("create")
        node.do("create")
        node.do("start")
    relate("tie", role, policy).value_or_raise()
    relate("tie", role, policy).value_or_raise()
    iam = moto.client("iam")
    attached = iam.list_attached_role_policies(RoleName="web")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [policy.runtime_properties["aws_resource_arn"]]
    members = iam.get_instance_profile(InstanceProfileName=profile.id)["InstanceProfile"]["Roles"]
    assert [each["RoleName"] for each in members] == ["web"]
    tags = {tag["Key"]: tag["Value"] for tag in iam.get_role(RoleName="web")["Role"]["Tags"]}
    assert tags["outrider:instance"] == "role_1"
    # A crash before the ARN was noted: found again by its name.
    policy.runtime_properties = {key: policy.runtime_properties[key] for key in ("aws_client_token", "resource_config")}
    policy.do("create")
    relate("untie", role, policy).value_or_raise()
    for node in reversed(nodes):
        assert node.do("check_drift").value is None
        node.do("stop")
        node.do("delete")
    assert iam.list_roles()["Roles"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def log_group(config: dict[str, Any], **desired: Any) -> AwsNode:
    return AwsNode(
        "logs",
        "outrider.nodes.aws.CloudControlResource",
        config,
        {"TypeName": "AWS::Logs::LogGroup", "DesiredState": {"RetentionInDays": 7, **desired}},
    )


def test_cloud_control_makes_and_removes_any_resource(cloud_control: CloudControl) -> None:
    cloud_control.looks = 3
    node = log_group(cloud_control.client_config)
    run = node.run("create")
    assert run.rescheduled
    assert run.retry_after
    node.do("create")
    assert node.id == "made-1"
    assert cloud_control.resources == {"made-1": {"RetentionInDays": 7}}
    assert node.do("check_drift").value is None
    cloud_control.resources["made-1"]["RetentionInDays"] = 30
    assert node.do("check_drift").value == {"RetentionInDays": {"expected": 7, "found": 30}}
    node.do("delete")
    assert cloud_control.resources == {}
    assert node.runtime_properties == {}


def test_a_crash_after_the_cloud_control_request_makes_nothing_twice(cloud_control: CloudControl) -> None:
    node = log_group(cloud_control.client_config)
    node.crash("create", saves=1)
    assert "aws_create_request" not in node.runtime_properties
    node.do("create")
    assert len(cloud_control.requests) == 1
    assert len(cloud_control.resources) == 1
    node.do("delete")
    assert cloud_control.resources == {}


def test_a_crash_during_the_cloud_control_request_leaves_nothing(cloud_control: CloudControl) -> None:
    cloud_control.looks = 2
    node = log_group(cloud_control.client_config)
    assert node.run("create").rescheduled
    node.do("delete")
    assert cloud_control.resources == {}


@pytest.mark.parametrize(("code", "passes"), [("InvalidRequest", False), ("Throttling", True)])
def test_a_failed_cloud_control_request_is_told(code: str, passes: bool, cloud_control: CloudControl) -> None:
    cloud_control.failure = code
    node = log_group(cloud_control.client_config)
    run = node.run("create")
    assert run.error is not None
    assert code in run.error["message"]
    assert run.error["recoverable"] is passes
    node.do("create")
    assert len(cloud_control.resources) == 1


def test_a_cloud_control_resource_that_is_gone_is_deleted_quietly(cloud_control: CloudControl) -> None:
    node = log_group(cloud_control.client_config)
    node.do("create")
    cloud_control.resources.clear()
    node.do("delete")
    assert node.runtime_properties == {}


def test_cloud_control_is_called_as_its_service_model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Stubber checks arguments and answers against the service's model, which the fake does not."""
    stubbed = boto3.client("cloudcontrol", **CREDENTIALS)
    event = {"RequestToken": "request", "OperationStatus": "SUCCESS", "Identifier": "made", "Operation": "CREATE"}
    with Stubber(stubbed) as stub:
        stub.add_response("create_resource", {"ProgressEvent": event})
        stub.add_response("get_resource_request_status", {"ProgressEvent": event}, {"RequestToken": "request"})
        described = {"Identifier": "made", "Properties": "{}"}
        for _ in range(2):
            stub.add_response(
                "get_resource",
                {"TypeName": "AWS::Logs::LogGroup", "ResourceDescription": described},
                {"TypeName": "AWS::Logs::LogGroup", "Identifier": "made"},
            )
        monkeypatch.setattr(client_module.Connection, "_client", lambda *_, **__: stubbed)
        node = log_group(CREDENTIALS)
        node.do("create")
        assert node.id == "made"
        stub.assert_no_pending_responses()
