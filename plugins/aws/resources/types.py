"""Names of the types that rows refer to in each other, and the two shapes in which EC2 describes nearly everything."""

from __future__ import annotations

from typing import Any

from outrider.plugins.aws.row import Call, Read

EC2 = "cloudify.nodes.aws.ec2."
ELB = "cloudify.nodes.aws.elb."
S3 = "cloudify.nodes.aws.s3."
IAM = "cloudify.nodes.aws.iam."

VPC = f"{EC2}Vpc"
SUBNET = f"{EC2}Subnet"
SECURITY_GROUP = f"{EC2}SecurityGroup"
INTERNET_GATEWAY = f"{EC2}InternetGateway"
NAT_GATEWAY = f"{EC2}NATGateway"
ROUTE_TABLE = f"{EC2}RouteTable"
INTERFACE = f"{EC2}Interface"
ELASTIC_IP = f"{EC2}ElasticIP"
INSTANCES = f"{EC2}Instances"
KEY_PAIR = f"{EC2}Keypair"
IMAGE = f"{EC2}Image"
VOLUME = f"{EC2}EBSVolume"
#: Most EC2 types derive from it.
EC2_BASE = f"{EC2}BaseType"
LOAD_BALANCER = f"{ELB}LoadBalancer"
TARGET_GROUP = f"{ELB}TargetGroup"
LISTENER = f"{ELB}Listener"
BUCKET = f"{S3}BaseBucket"
ROLE = f"{IAM}Role"
POLICY = f"{IAM}Policy"
INSTANCE_PROFILE = f"{IAM}InstanceProfile"

#: The filter that selects what belongs to the instance.
OURS = [
    {"Name": "tag:outrider:deployment", "Values": ["$deployment"]},
    {"Name": "tag:outrider:instance", "Values": ["$instance"]},
]


def described(method: str, *, ids: str, found: str, absent: str, filters: str = "Filters") -> dict[str, Any]:
    """Return `read` and `search` of a row: by a list of ids, else by our tags."""
    return {
        "read": Read(Call(method, {ids: ["$id"]}), found, absent=(absent,)),
        "search": Read(Call(method, {filters: OURS}), found),
    }
