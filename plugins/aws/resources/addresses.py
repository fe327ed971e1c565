"""Rows: elastic IP, network interface, security group and its rules, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional

from outrider.plugins.aws.errors import RequestRefused, is_already_there
from outrider.plugins.aws.resources import types
from outrider.plugins.aws.resources.network import IN_VPC
from outrider.plugins.aws.resources.types import described
from outrider.plugins.aws.row import Call, Description, Fill, Link, Read, Row, States, Tagging

if TYPE_CHECKING:
    from outrider.plugins.aws.work import Work

#: The lists of sources in a permission; each source alone is one rule of AWS.
_SOURCES = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
#: What a rule is known by, in each list of sources.
_SOURCE_KEYS = {
    "IpRanges": "CidrIp",
    "Ipv6Ranges": "CidrIpv6",
    "PrefixListIds": "PrefixListId",
    "UserIdGroupPairs": "GroupId",
}


def single_rules(permissions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield permissions with one source each: AWS refuses a permission as a whole if one of its rules exists."""
    for permission in permissions:
        base = {key: value for key, value in permission.items() if key not in _SOURCES}
        for sources in _SOURCES:
            for source in permission.get(sources) or []:
                yield {**base, sources: [source]}


def rule_key(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells two single rules apart, whoever describes them."""
    protocol = str(rule.get("IpProtocol"))
    ports = (None, None) if protocol == "-1" else (rule.get("FromPort"), rule.get("ToPort"))
    sources = next(name for name in _SOURCES if rule.get(name))
    return (protocol, *ports, sources, rule[sources][0].get(_SOURCE_KEYS[sources]))


def look_for_rules(work: Work) -> Optional[Description]:
    """Return the node's rules that the group has; None if it has none of them, or if the group is gone."""
    group = work.config.get("GroupId")
    if not group:
        return None
    answer = work.call("describe_security_groups", {"GroupIds": [group]}, absent=("InvalidGroup.NotFound",))
    if answer is None:
        return None
    side = "IpPermissionsEgress" if _is_egress(work) else "IpPermissions"
    there = {rule_key(rule) for rule in single_rules(answer["SecurityGroups"][0][side])}
    ours = [rule for rule in single_rules(work.config.get("IpPermissions") or []) if rule_key(rule) in there]
    return {"GroupId": group, "IpPermissions": ours} if ours else None


def authorize_rules(work: Work, config: dict[str, Any]) -> Description:
    """Add the rules that are not there."""
    method = f"authorize_security_group_{'egress' if _is_egress(work) else 'ingress'}"
    for rule in single_rules(config.get("IpPermissions") or []):
        try:
            work.call(method, {"GroupId": config["GroupId"], "IpPermissions": [rule]}, once=True)
        except RequestRefused as error:
            if not is_already_there(error.code):
                raise
    return {"GroupId": config["GroupId"], "IpPermissions": config.get("IpPermissions") or []}


def revoke_rules(work: Work) -> None:
    """Remove the node's rules that are there."""
    method = f"revoke_security_group_{'egress' if _is_egress(work) else 'ingress'}"
    for rule in (look_for_rules(work) or {"IpPermissions": []})["IpPermissions"]:
        arguments = {"GroupId": work.config["GroupId"], "IpPermissions": [rule]}
        work.call(method, arguments, absent=("InvalidPermission.NotFound", "InvalidGroup.NotFound"))


def prepare_rules(work: Work, config: dict[str, Any]) -> dict[str, Any]:
    """The group may also be given as the operation's input `aws_resource_id`."""
    group = work.inputs.get("aws_resource_id") or work.properties.get("resource_id")
    return {**config, "GroupId": group} if group else config


def missing_rules(work: Work, description: Description) -> dict[str, Any]:
    """Return the rules of the blueprint that the group does not have."""
    there = {rule_key(rule) for rule in description["IpPermissions"]}
    lost = [rule for rule in single_rules(work.config.get("IpPermissions") or []) if rule_key(rule) not in there]
    return {"IpPermissions": {"missing": lost}} if lost else {}


def make_tags(work: Work, config: dict[str, Any]) -> Description:
    """Tag the related resources; tags that are there get the new value."""
    work.call("create_tags", config)
    return config


def _is_egress(work: Work) -> bool:
    return work.row.type_name.endswith("Egress")


def _rules(type_name: str, noun: str) -> Row:
    return Row(
        type_name=type_name,
        noun=noun,
        service="ec2",
        create=Call("authorize_security_group_ingress"),
        read=None,
        delete=None,
        id="GroupId",
        # What is there stays, what is missing is added.
        replaces=True,
        fills=(Fill("GroupId", (types.SECURITY_GROUP,)),),
        prepare=prepare_rules,
        look=look_for_rules,
        make=authorize_rules,
        remove=revoke_rules,
        differences=missing_rules,
    )


ROWS = (
    Row(
        type_name=types.ELASTIC_IP,
        noun="elastic IP",
        service="ec2",
        create=Call("allocate_address", {"Domain": "vpc"}),
        id="PublicIp",
        read=Read(Call("describe_addresses", {"PublicIps": ["$id"]}), "Addresses[]", ("InvalidAddress.NotFound",)),
        search=Read(Call("describe_addresses", {"Filters": types.OURS}), "Addresses[]"),
        delete=Call("release_address", {"AllocationId": "$noted.allocation_id"}),
        tagging=Tagging("TagSpecifications", "elastic-ip"),
        notes={
            "allocation_id": "AllocationId",
            "association_id": "AssociationId",
            "public_ip_address": "PublicIp",
            "private_ip_address": "PrivateIpAddress",
        },
        links=(
            Link(
                targets=(types.INTERFACE,),
                attach=Call(
                    "associate_address", {"AllocationId": "$noted.allocation_id", "NetworkInterfaceId": "$target"}
                ),
                detach=Call("disassociate_address", {"AssociationId": "$handle"}),
                ties="[{target: NetworkInterfaceId, handle: AssociationId}]",
            ),
            Link(
                targets=(types.INSTANCES,),
                attach=Call("associate_address", {"AllocationId": "$noted.allocation_id", "InstanceId": "$target"}),
                detach=Call("disassociate_address", {"AssociationId": "$handle"}),
                ties="[{target: InstanceId, handle: AssociationId}]",
            ),
        ),
    ),
    Row(
        type_name=types.INTERFACE,
        noun="network interface",
        service="ec2",
        create=Call("create_network_interface"),
        answer="NetworkInterface",
        id="NetworkInterfaceId",
        **described(
            "describe_network_interfaces",
            ids="NetworkInterfaceIds",
            found="NetworkInterfaces[]",
            absent="InvalidNetworkInterfaceID.NotFound",
        ),
        delete=Call("delete_network_interface", {"NetworkInterfaceId": "$id"}),
        states=States("Status", ready=("available", "in-use", "attaching", "associated")),
        tagging=Tagging("TagSpecifications", "network-interface"),
        idempotent_by="ClientToken",
        fills=(Fill("SubnetId", (types.SUBNET,)), Fill("Groups", (types.SECURITY_GROUP,), many=True)),
        notes={
            "private_ip_address": "PrivateIpAddress",
            "public_ip_address": "Association.PublicIp",
            "availability_zone": "AvailabilityZone",
            "vpc_id": "VpcId",
        },
        modify=Call("modify_network_interface_attribute", {"NetworkInterfaceId": "$id"}),
        links=(
            Link(
                targets=(types.INSTANCES,),
                attach=Call(
                    "attach_network_interface",
                    {"NetworkInterfaceId": "$id", "InstanceId": "$target", "DeviceIndex": "$property.device_index"},
                ),
                detach=Call("detach_network_interface", {"AttachmentId": "$handle"}),
                ties="[Attachment.{target: InstanceId, handle: AttachmentId}]",
            ),
        ),
    ),
    Row(
        type_name=types.SECURITY_GROUP,
        noun="security group",
        service="ec2",
        create=Call("create_security_group", {"Description": "Made by Outrider"}),
        id="GroupId",
        named_by="GroupName",
        **described(
            "describe_security_groups", ids="GroupIds", found="SecurityGroups[]", absent="InvalidGroup.NotFound"
        ),
        delete=Call("delete_security_group", {"GroupId": "$id"}),
        tagging=Tagging("TagSpecifications", "security-group"),
        fills=IN_VPC,
        notes={"vpc_id": "VpcId"},
    ),
    _rules(f"{types.EC2}SecurityGroupRuleIngress", "set of ingress rules"),
    _rules(f"{types.EC2}SecurityGroupRuleEgress", "set of egress rules"),
    Row(
        type_name=f"{types.EC2}Tags",
        noun="set of tags",
        service="ec2",
        create=Call("create_tags"),
        read=None,
        delete=Call("delete_tags", {"Resources": "$config.Resources", "Tags": "$config.Tags"}),
        id="Resources[0]",
        replaces=True,
        fills=(Fill("Resources", (types.EC2_BASE, types.INSTANCES, types.ELASTIC_IP, types.IMAGE), many=True),),
        make=make_tags,
    ),
)
